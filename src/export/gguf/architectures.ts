// GGUF's form of our architectures: names of metadata, the settings that they depend on, and what llama.cpp does not compute. Names of
// tensors are those that files are read by.
import { z } from 'zod'
import { ggufPooling, scaledNormKey } from '../../checkpoint/index.ts'
import { type EmbeddingHead, type HeadType, type Model, type ModelDefinition, models } from '../../models/index.ts'
import { count, flag, flags, float, type GgufField, text } from './gguf-file.ts'

/** llama.cpp's relative positions end at this distance. */
const relativeDistance = 128

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
  normBias: z.boolean().default(false),
  attentionBias: z.boolean().default(false),
  mlpBias: z.boolean().default(false),
  typeVocabSize: z.number().default(1),
  activation: z.string(),
  parallelResidual: z.boolean().default(true),
  slidingWindow: z.number().optional(),
  useSlidingWindow: z.boolean().optional(),
  localAttention: z.number().default(0),
  windowPattern: z.number().default(1),
  layerTypes: z.array(z.string()).optional(),
  queryScale: z.number().optional(),
  ropeLayers: z.array(z.number()).optional(),
  positionlessInterval: z.number().default(4),
  ropeTheta: z.number().default(10_000),
  localRopeTheta: z.number().default(10_000),
  ropeScaling: z.looseObject({ kind: z.string() }).default({ kind: 'default' }),
  partialRotaryFactor: z.number().default(1),
  scaleAttention: z.boolean().default(true),
  scaleAttentionByLayer: z.boolean().default(false),
  tiedEmbeddings: z.boolean().default(false),
  attentionSoftcap: z.number().default(0),
  logitSoftcap: z.number().default(0),
  numExperts: z.number().optional(),
  expertsPerToken: z.number().default(0),
  expertSize: z.number().optional(),
  normalizeWeights: z.boolean().default(true),
  sparseInterval: z.number().default(1),
  denseLayers: z.array(z.number()).default([]),
})
/** The settings, of which each architecture has some. */
export type Settings = z.output<typeof configSchema> & { intermediateSize: number }

export const headDimOf = ({ headDim, hiddenSize, numHeads }: Settings): number => headDim ?? hiddenSize / numHeads

/** Elements of a head that are rotated. */
export const rotaryDimOf = (settings: Settings): number =>
  Math.floor(headDimOf(settings) * settings.partialRotaryFactor)

export const settingsOf = (model: Model): Settings => {
  // Rows of RoBERTa's table of positions before the first position are not counted.
  const { maxPositions } = model.facts
  const parsed = configSchema.parse({ ...model.config, ...(maxPositions === undefined ? {} : { maxPositions }) })
  return { ...parsed, intermediateSize: parsed.intermediateSize ?? 4 * parsed.hiddenSize }
}

/** What llama.cpp needs, and what the model has. */
type Refusal = [needed: string, got: string] | undefined

interface GgufArchitecture {
  /** ggml's name. */
  name: string
  /** The activation that llama.cpp computes. */
  activation: string | ((settings: Settings) => string)
  /** Key of the norms' epsilon. */
  normKey: string
  /** Head that llama.cpp computes (default: causal-lm). */
  head?: HeadType
  /** Scalings of the rotary positions that llama.cpp computes; none where positions are not rotary. */
  rope?: readonly string[]
  /** Architecture that it is in GGUF, with the names of its tensors. */
  as?: ModelDefinition
  /** What llama.cpp does not compute. */
  refuse?(settings: Settings): Refusal
  /** Metadata beside the sizes. */
  fields?(model: Model, settings: Settings): [string, GgufField][]
  /** llama.cpp has no output matrix beside the token embedding, or always one. */
  output?: 'tied' | 'own'
  /** Whether layers may have sliding windows. */
  slides?: boolean
}

const scalings = ['default', 'linear', 'yarn']

const llamaFamily = (name: string): GgufArchitecture => ({
  name,
  activation: 'silu',
  normKey: 'attention.layer_norm_rms_epsilon',
  rope: scalings,
})

const refuseBiases = ({ attentionBias, mlpBias, normBias }: Settings): Refusal =>
  attentionBias || mlpBias || normBias ? ['layers without biases', 'biases'] : undefined

/** Which layers have a sliding window by a period, whose first or last layer attends to all tokens. */
const byPeriod = (layers: number, period: number, fullFirst: boolean): boolean[] =>
  Array.from({ length: layers }, (_, i) => (fullFirst ? i : i + 1) % period !== 0)

const slidingLayers = ({ layerTypes, numLayers, windowPattern }: Settings, fullFirst: boolean): boolean[] =>
  layerTypes?.map((type) => type === 'sliding_attention') ?? byPeriod(numLayers, windowPattern, fullFirst)

/** Size of the windows, and which layers have one: the period, or a list where there is none. */
const windowFields = (
  arch: string,
  settings: Settings,
  { window, fullFirst }: { window: number; fullFirst: boolean },
): [string, GgufField][] => {
  const { numLayers, localRopeTheta } = settings
  const slides = slidingLayers(settings, fullFirst)
  if (!slides.includes(true)) return []
  const periods = Array.from({ length: numLayers }, (_, i) => i + 2)
  const period = periods.find((one) => byPeriod(numLayers, one, fullFirst).join() === slides.join())
  return [
    [`${arch}.attention.sliding_window`, count(window)],
    [`${arch}.attention.sliding_window_pattern`, period === undefined ? flags(slides) : count(period)],
    [`${arch}.rope.freq_base_swa`, float(localRopeTheta)],
  ]
}

/** llama.cpp knows the largest model of Gemma 2 or 3, whose scores have another scale, by its layers. */
const refuseScale = (settings: Settings, largest: number): Refusal => {
  const { numLayers, hiddenSize, numHeads, queryScale } = settings
  const scale = numLayers === largest ? hiddenSize / numHeads : headDimOf(settings)
  return queryScale === scale
    ? undefined
    : [`attention scores divided by the root of ${scale}`, `the root of ${queryScale}`]
}

/** llama.cpp needs a layer with a window: one of the whole context is none. */
const gemma2Windows = (settings: Settings): [string, GgufField][] => {
  const { slidingWindow = 0, ropeTheta: localRopeTheta, maxPositions } = settings
  const all = { ...settings, localRopeTheta, windowPattern: 2 }
  return slidingLayers(all, false).includes(true)
    ? windowFields('gemma2', all, { window: slidingWindow, fullFirst: false })
    : windowFields('gemma2', { ...all, layerTypes: undefined }, { window: maxPositions, fullFirst: false })
}

const gemma2: GgufArchitecture = {
  ...llamaFamily('gemma2'),
  activation: 'gelu_pytorch_tanh',
  slides: true,
  output: 'tied',
  refuse: (settings) => {
    const { attentionSoftcap, logitSoftcap } = settings
    if (attentionSoftcap === 0 || logitSoftcap === 0)
      return [
        'soft caps of attention scores and logits',
        attentionSoftcap === 0 ? 'scores without one' : 'logits without one',
      ]
    return refuseScale(settings, 46) ?? refuseBiases(settings)
  },
  fields: (_, settings) => [
    ['gemma2.attn_logit_softcapping', float(settings.attentionSoftcap)],
    ['gemma2.final_logit_softcapping', float(settings.logitSoftcap)],
    ...gemma2Windows(settings),
  ],
}

const gemma3: GgufArchitecture = {
  ...llamaFamily('gemma3'),
  activation: 'gelu_pytorch_tanh',
  // YaRN would change the sliding layers too.
  rope: ['default', 'linear'],
  slides: true,
  refuse: (settings) => refuseScale(settings, 62) ?? refuseBiases(settings),
  fields: (_, settings) => windowFields('gemma3', settings, { window: settings.slidingWindow ?? 0, fullFirst: false }),
}

/** Every fourth layer of SmolLM3 has no positions in llama.cpp. */
const smollm3: GgufArchitecture = {
  ...llamaFamily('smollm3'),
  refuse: (settings) => {
    const { numLayers, ropeLayers, positionlessInterval } = settings
    const rotary = (i: number) =>
      ropeLayers === undefined ? (i + 1) % positionlessInterval !== 0 : ropeLayers[i] === 1
    const same = Array.from({ length: numLayers }, (_, i) => i).every((i) => rotary(i) === ((i + 1) % 4 !== 0))
    return same ? refuseBiases(settings) : ['no positions in every fourth layer', 'other layers without positions']
  },
}

/** The conversion of llama.cpp writes the window of Phi 3, which llama.cpp does not compute. */
const phi3: GgufArchitecture = {
  ...llamaFamily('phi3'),
  rope: [...scalings, 'longrope'],
  fields: (_, { slidingWindow = 0 }) => [['phi3.attention.sliding_window', count(slidingWindow)]],
}

const gptNeox: GgufArchitecture = {
  name: 'gptneox',
  activation: 'gelu',
  normKey: 'attention.layer_norm_epsilon',
  rope: scalings,
  output: 'own',
  refuse: ({ attentionBias }) => (attentionBias ? undefined : ['biases of the attention projections', 'none']),
  fields: (_, { parallelResidual }) => [['gptneox.use_parallel_residual', flag(parallelResidual)]],
}

const poolingField = (arch: string, { head }: Model): [string, GgufField] => [
  `${arch}.pooling_type`,
  count(ggufPooling((head as EmbeddingHead).settings.pooling)),
]

/** An encoder of embeddings: all that have BERT's stack are a BERT there. */
const bertFamily: GgufArchitecture = {
  name: 'bert',
  activation: 'gelu',
  normKey: 'attention.layer_norm_epsilon',
  head: 'embedding',
  as: models.bert as never,
  fields: (model, { typeVocabSize }) => [
    ['bert.attention.causal', flag(false)],
    poolingField('bert', model),
    ['tokenizer.ggml.token_type_count', count(Math.max(1, typeVocabSize))],
  ],
}

const gatedActivations = ['gelu', 'silu', 'swish']

const modernBert: GgufArchitecture = {
  name: 'modern-bert',
  activation: ({ activation }) => (gatedActivations.includes(activation) ? activation : gatedActivations[0]),
  normKey: 'attention.layer_norm_epsilon',
  head: 'embedding',
  rope: ['default'],
  slides: true,
  refuse: refuseBiases,
  fields: (model, settings) => [
    ['modern-bert.attention.causal', flag(false)],
    poolingField('modern-bert', model),
    ...windowFields('modern-bert', settings, { window: settings.localAttention, fullFirst: true }),
    ['modern-bert.rope.scaling.type', text('none')],
    ['modern-bert.hidden_activation', text(settings.activation)],
  ],
}

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

const llama: GgufArchitecture = { ...llamaFamily('llama'), rope: [...scalings, 'llama3'] }

const expertFields = (arch: string, { numExperts = 0, expertsPerToken }: Settings): [string, GgufField][] => [
  [`${arch}.expert_count`, count(numExperts)],
  [`${arch}.expert_used_count`, count(expertsPerToken)],
]

/** A Llama with experts there. */
const mixtral: GgufArchitecture = { ...llama, fields: (_, settings) => expertFields('llama', settings) }

const qwen3Moe: GgufArchitecture = {
  ...llamaFamily('qwen3moe'),
  refuse: (settings) => {
    const { normalizeWeights, sparseInterval, denseLayers, numLayers } = settings
    if (!normalizeWeights) return ["a token's expert weights divided by their sum", 'weights as they are']
    if (sparseInterval !== 1 || denseLayers.some((layer) => layer < numLayers))
      return ['experts in every layer', 'layers without']
    return refuseBiases(settings)
  },
  fields: (_, settings) => [
    ...expertFields('qwen3moe', settings),
    ['qwen3moe.expert_feed_forward_length', count(settings.expertSize ?? settings.intermediateSize)],
  ],
}

/** GGUF's form of our architectures: Mistral and Mixtral are Llamas there. */
export const architectures: Readonly<Record<string, GgufArchitecture>> = {
  llama,
  mistral: llama,
  mixtral,
  qwen2: llamaFamily('qwen2'),
  qwen3: { ...llamaFamily('qwen3'), refuse: refuseBiases },
  'qwen3-moe': qwen3Moe,
  gemma: { ...llamaFamily('gemma'), activation: 'gelu_pytorch_tanh', output: 'tied', refuse: refuseBiases },
  gemma2,
  gemma3,
  olmo2: { ...llamaFamily('olmo2'), output: 'own', refuse: refuseBiases },
  smollm3,
  phi3,
  gpt2: { name: 'gpt2', activation: 'gelu_new', normKey: 'attention.layer_norm_epsilon' },
  'gpt-neox': gptNeox,
  t5: t5Family,
  mt5: t5Family,
  bert: bertFamily,
  distilbert: bertFamily,
  roberta: bertFamily,
  'xlm-roberta': bertFamily,
  camembert: bertFamily,
  modernbert: modernBert,
}

/** Why other architectures have no form in GGUF, for the message. */
export const unknownToLlamaCpp: Readonly<Record<string, string>> = {
  mpnet: 'llama.cpp has no relative positions in encoders',
  albert: 'llama.cpp has no shared layers and no projected embeddings',
  electra: 'llama.cpp has no projected embeddings',
  deberta: 'llama.cpp has no disentangled attention',
  'deberta-v2': 'llama.cpp has no disentangled attention',
}

export const architectureOf = ({ definition }: Model): GgufArchitecture => architectures[definition.type]
