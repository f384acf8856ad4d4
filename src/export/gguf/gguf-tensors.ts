// Names, row order and types of the tensors of GGUF files, for whole models and for adapters. Names come from the table that
// GGUF files are read by, so both directions agree.
import { z } from 'zod'
import {
  type GgufName,
  ggufNames,
  ggufPooling,
  ggufType,
  hfState,
  scaledNormKey,
  toHfKeys,
} from '../../checkpoint/index.ts'
import {
  type EmbeddingHead,
  type HeadType,
  type Model,
  type ModelDefinition,
  modelKeys,
  models,
  Seq2SeqLmHead,
} from '../../models/index.ts'
import { noGrad, type Tensor, zeros } from '../../tensor/index.ts'
import { count, flag, float, type GgufEntry, type GgufField } from './gguf-file.ts'
import { quantizers } from './quantizers.ts'

/** An architecture in GGUF. */
interface GgufArchitecture {
  /** ggml's name. */
  name: string
  /** The activation that llama.cpp computes. */
  activation: string | ((settings: Settings) => string)
  /** Key of the norms' epsilon. */
  normKey: string
  /** Head that llama.cpp computes (default: causal-lm). */
  head?: HeadType
  /** Whether positions are rotary. */
  rope?: boolean
  /** Architecture that it is in GGUF, with the names of its tensors. */
  as?: ModelDefinition
  /** What llama.cpp does not compute: what it needs, and what the model has. */
  refuse?(settings: Settings): [needed: string, got: string] | undefined
  /** Metadata beside the sizes. */
  fields?(model: Model, settings: Settings): [string, GgufField][]
  /** Whether llama.cpp has no output matrix beside the token embedding. */
  tiedOnly?: boolean
}

const llamaFamily = (name: string): GgufArchitecture => ({
  name,
  activation: 'silu',
  normKey: 'attention.layer_norm_rms_epsilon',
  rope: true,
})

/** An encoder of embeddings: all that have BERT's stack are a BERT there. */
const bertFamily: GgufArchitecture = {
  name: 'bert',
  activation: 'gelu',
  normKey: 'attention.layer_norm_epsilon',
  head: 'embedding',
  as: models.bert as never,
  fields: (model, { typeVocabSize }) => [
    ['bert.attention.causal', flag(false)],
    ['bert.pooling_type', count(ggufPooling((model.head as EmbeddingHead).settings.pooling))],
    ['tokenizer.ggml.token_type_count', count(Math.max(1, typeVocabSize))],
  ],
}

/** llama.cpp's relative positions end at this distance. */
const relativeDistance = 128

/** An encoder-decoder. */
const t5Family: GgufArchitecture = {
  name: 't5',
  activation: ({ gated }) => (gated ? 'gelu_new' : 'relu'),
  normKey: 'attention.layer_norm_rms_epsilon',
  head: 'seq2seq-lm',
  refuse: ({ relativeMaxDistance: most, numLayers, numDecoderLayers = numLayers }) => {
    if (most !== relativeDistance)
      return [`relative positions up to a distance of ${relativeDistance}`, `one of ${most}`]
    // llama.cpp 0.5 fails to open such files.
    if (numDecoderLayers <= numLayers) return undefined
    return ['at most as many layers of the decoder as of the encoder', `${numDecoderLayers} and ${numLayers}`]
  },
  fields: (_, settings) => [
    ['t5.attention.layer_norm_epsilon', float(settings.normEps)],
    ['t5.decoder_block_count', count(settings.numDecoderLayers ?? settings.numLayers)],
    ['t5.attention.relative_buckets_count', count(settings.relativeBuckets)],
    ['t5.decoder_start_token_id', count(settings.decoderStartTokenId)],
    [scaledNormKey, flag(true)],
  ],
}

/** Factor of the hidden states before the output layer. */
const scaleOf = ({ head }: Model): number => (head instanceof Seq2SeqLmHead ? head.scale : 1)

/** GGUF's form of our architectures: Mistral is a Llama there. */
export const architectures: Readonly<Record<string, GgufArchitecture>> = {
  llama: llamaFamily('llama'),
  mistral: llamaFamily('llama'),
  qwen2: llamaFamily('qwen2'),
  qwen3: llamaFamily('qwen3'),
  gemma: { ...llamaFamily('gemma'), activation: 'gelu_pytorch_tanh', tiedOnly: true },
  gpt2: { name: 'gpt2', activation: 'gelu_new', normKey: 'attention.layer_norm_epsilon' },
  t5: t5Family,
  mt5: t5Family,
  bert: bertFamily,
  distilbert: bertFamily,
  roberta: bertFamily,
  'xlm-roberta': bertFamily,
  camembert: bertFamily,
}

/** Why other architectures have no form in GGUF, for the message. */
export const unknownToLlamaCpp: Readonly<Record<string, string>> = {
  mpnet: 'llama.cpp has no relative positions in encoders',
  albert: 'llama.cpp has no shared layers and no projected embeddings',
  electra: 'llama.cpp has no projected embeddings',
  deberta: 'llama.cpp has no disentangled attention',
  'deberta-v2': 'llama.cpp has no disentangled attention',
}

/** GGUF's form of the model's architecture. */
export const architectureOf = ({ definition }: Model): GgufArchitecture => architectures[definition.type]

/** Whether the output matrix is the token embedding. */
export const isTied = (model: Model): boolean => !hfState(model).has('lm_head.weight')

/**
 * Tensors of the model by the keys that the table of GGUF has. Where the architecture is another there, tables of positions
 * begin with the first position, and there is a row of zeros for segments that the model does not have.
 */
export const stateOf = (model: Model): Map<string, Tensor> => {
  const { as } = architectureOf(model)
  if (as === undefined) {
    const state = hfState(model)
    const [norm, scale] = [state.get('decoder.final_layer_norm.weight'), scaleOf(model)]
    if (norm !== undefined && scale !== 1)
      state.set(
        'decoder.final_layer_norm.weight',
        noGrad(() => norm.mul(scale)),
      )
    return state
  }
  const { hiddenSize, numLayers, maxPositions } = settingsOf(model)
  const state = toHfKeys(model.parameters(), modelKeys(as, as.presets.test, 'embedding'), numLayers)
  const [positions, segments] = ['position', 'token_type'].map((table) => `embeddings.${table}_embeddings.weight`)
  const rows = state.get(positions)
  if (rows !== undefined) state.set(positions, rows.narrow(0, rows.shape[0] - maxPositions, maxPositions))
  if (!state.has(segments)) state.set(segments, zeros([1, hiddenSize]))
  return state
}

const configSchema = z.object({
  vocabSize: z.number(),
  hiddenSize: z.number(),
  numLayers: z.number(),
  numHeads: z.number(),
  numKvHeads: z.number().optional(),
  headDim: z.number().optional(),
  intermediateSize: z.number().optional(),
  maxPositions: z.number().default(512),
  numDecoderLayers: z.number().optional(),
  relativeBuckets: z.number().default(32),
  relativeMaxDistance: z.number().default(relativeDistance),
  decoderStartTokenId: z.number().default(0),
  gated: z.boolean().default(false),
  normEps: z.number().default(1e-12),
  typeVocabSize: z.number().default(1),
  activation: z.string(),
  slidingWindow: z.number().optional(),
  useSlidingWindow: z.boolean().optional(),
  ropeTheta: z.number().default(10_000),
  ropeScaling: z.looseObject({ kind: z.string() }).default({ kind: 'default' }),
  scaleAttention: z.boolean().default(true),
  scaleAttentionByLayer: z.boolean().default(false),
  tiedEmbeddings: z.boolean().default(false),
})
export type Settings = z.output<typeof configSchema> & { intermediateSize: number }

export const headDimOf = ({ headDim, hiddenSize, numHeads }: Settings): number => headDim ?? hiddenSize / numHeads

export const settingsOf = (model: Model): Settings => {
  // Rows of RoBERTa's table of positions before the first position are not counted.
  const { maxPositions } = model.facts
  const parsed = configSchema.parse({ ...model.config, ...(maxPositions === undefined ? {} : { maxPositions }) })
  return { ...parsed, intermediateSize: parsed.intermediateSize ?? 4 * parsed.hiddenSize }
}

/** Names of all tensors of the model's architecture, by ggml's name. */
export const namesOf = (model: Model): Map<string, GgufName> => {
  const settings = settingsOf(model)
  const { numHeads: heads, numKvHeads: kvHeads = heads, numLayers: layers } = settings
  const names = ggufNames(architectureOf(model).name, {
    hidden: settings.hiddenSize,
    intermediate: settings.intermediateSize,
    layers,
    heads,
    kvHeads,
    headDim: headDimOf(settings),
    vocab: settings.vocabSize,
    positions: settings.maxPositions,
    segments: settings.typeVocabSize,
    decoderLayers: settings.numDecoderLayers ?? settings.numLayers,
    buckets: settings.relativeBuckets,
    gated: settings.gated,
  })
  return names ?? new Map<string, GgufName>()
}

/** The rows of a tensor in the order of llama.cpp, which stores the two halves of a head that RoPE pairs up as alternate rows. */
const permutedView = (tensor: Tensor, heads: number): Tensor => {
  const [rows, ...rest] = tensor.shape
  // [H·D,…] -> [H,2,D/2,…] -> [H,D/2,2,…]
  return tensor
    .contiguous()
    .view([heads, 2, rows / heads / 2, ...rest])
    .transpose(1, 2)
}

/** As llama.cpp stores the rows of queries and keys. */
export const permute = (tensor: Tensor, heads: number): Tensor =>
  permutedView(tensor, heads).contiguous().view(tensor.shape)

/** A tensor of the file, in one of ggml's types. @param importance of its columns, where there is an importance matrix */
export const entryOf = (
  name: string,
  tensor: Tensor,
  type: string,
  { permutedHeads, offset }: Pick<GgufName, 'permutedHeads' | 'offset'>,
  importance?: Float32Array,
): GgufEntry => {
  const { shape, size } = tensor
  const { code, blockSize, blockBytes, dtype } = ggufType(type)
  const stored = noGrad(() => {
    const ordered = permutedHeads === undefined ? tensor : permutedView(tensor, permutedHeads)
    return offset === undefined ? ordered : ordered.add(offset)
  })
  const columns = dtype === undefined && quantizers[type].weighted ? importance : undefined
  const part = { name, tensor: stored, as: dtype ?? type, columns, finite: dtype === 'float16' }
  return { name, shape, code, bytes: (size / blockSize) * blockBytes, part }
}
