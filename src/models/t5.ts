// T5 (v1.0, v1.1, flan) and mT5: an encoder and a decoder with RMS norms, a learned relative bias instead of positions, and no
// bias terms. @source arXiv:1910.10683, arXiv:2002.05202 (v1.1's gated blocks), arXiv:2010.11934 (mT5)
import { z } from 'zod'
import {
  Attention,
  type AttentionContext,
  Dropout,
  Embedding,
  GatedMlp,
  type KeyRule,
  type Mlp,
  Module,
  PlainMlp,
  RelativeBias,
  RmsNorm,
} from '../nn/index.ts'
import { ones, type Tensor } from '../tensor/index.ts'
import { settings, sizes } from './config-fields.ts'
import { shiftAfterStart } from './heads/head.ts'
import {
  embedding,
  type HeadEntries,
  questionAnswering,
  seq2seqLm,
  sequenceClassification,
  tokenClassification,
} from './heads/index.ts'
import {
  Body,
  type BodyInputs,
  type BodyOutputs,
  type BuildOptions,
  defineModel,
  layOutDropout,
  refusePacking,
} from './model.ts'
import { layerRunner } from './recompute.ts'

class RelativeLayer extends Module {
  attentionNorm: RmsNorm
  attention: Attention
  crossNorm?: RmsNorm
  crossAttention?: Attention
  mlpNorm: RmsNorm
  mlp: Mlp
  dropout: Dropout

  constructor(config: StackConfig, decoder: boolean) {
    super()
    const { hiddenSize: hidden, normEps: eps, numHeads: heads, headDim, dropout } = config
    const attention = () => new Attention({ hidden, heads, headDim, bias: false, scale: 1, dropout })
    this.attentionNorm = new RmsNorm(hidden, { eps })
    this.attention = attention()
    if (decoder) {
      this.crossNorm = new RmsNorm(hidden, { eps })
      this.crossAttention = attention()
    }
    this.mlpNorm = new RmsNorm(hidden, { eps })
    const mlp = {
      hidden,
      intermediate: config.intermediateSize,
      activation: config.activation,
      bias: false,
      innerDropout: dropout,
    }
    this.mlp = config.gated ? new GatedMlp(mlp) : new PlainMlp(mlp)
    this.dropout = new Dropout(dropout)
  }
}

/** The encoder or the decoder of T5. */
export class RelativeStack extends Module {
  relativeBias: RelativeBias
  layers: RelativeLayer[]
  finalNorm: RmsNorm
  dropout: Dropout
  /** Norms before attention and feed-forward block. */
  readonly normsBefore = true
  readonly #decoder: boolean

  constructor(config: StackConfig, decoder: boolean) {
    super()
    const { relativeBuckets: buckets, relativeMaxDistance: maxDistance, numHeads: heads } = config
    this.relativeBias = new RelativeBias({ buckets, maxDistance, heads, bidirectional: !decoder })
    const count = decoder ? (config.numDecoderLayers ?? config.numLayers) : config.numLayers
    this.layers = Array.from({ length: count }, () => new RelativeLayer(config, decoder))
    this.finalNorm = new RmsNorm(config.hiddenSize, { eps: config.normEps })
    this.dropout = new Dropout(config.dropout)
    this.#decoder = decoder
  }

  forward(
    embedded: Tensor,
    options: Pick<BodyInputs, 'cache' | 'pastLength' | 'recompute' | 'recomputeIn' | 'allHidden'> & {
      mask?: Tensor
      source?: Tensor
      sourceMask?: Tensor
    },
  ): { hidden: Tensor; allHidden: Tensor[] } {
    const { pastLength = 0 } = options
    const length = embedded.shape[1]
    let bias = this.relativeBias.forward(length, length + pastLength, pastLength)
    if (this.#decoder) {
      const later = ones([length, length + pastLength], { dtype: 'bool', device: embedded.device }).triu(pastLength + 1)
      bias = bias.maskedFill(later, Number.NEGATIVE_INFINITY)
    }
    const cross: AttentionContext = { mask: keyMask(options.sourceMask) }
    const drop = (layer: { dropout: Dropout }, x: Tensor) => layer.dropout.forward(x)
    let stream = drop(this, embedded)
    const allHidden = [stream]
    const run = layerRunner(options)
    // Tensors with history are inputs of the layer, not captured: recomputing must not run their backward again.
    const shared = [bias, ...(options.source === undefined ? [] : [options.source])]
    this.layers.forEach((layer, i) => {
      const forward = (input: Tensor, distances: Tensor, source?: Tensor): Tensor => {
        const cache = options.cache?.[i]
        const self: AttentionContext = { bias: distances, mask: keyMask(options.mask) }
        let sum = input.add(drop(layer, layer.attention.forward(layer.attentionNorm.forward(input), self, { cache })))
        if (layer.crossAttention !== undefined && layer.crossNorm !== undefined) {
          const crossed = layer.crossAttention.forward(layer.crossNorm.forward(sum), cross, { source, cache })
          sum = sum.add(drop(layer, crossed))
        }
        return sum.add(drop(layer, layer.mlp.forward(layer.mlpNorm.forward(sum))))
      }
      stream = run(i, layer, forward, [stream, ...shared])
      allHidden.push(stream)
    })
    const hidden = drop(this, this.finalNorm.forward(stream))
    allHidden[allHidden.length - 1] = hidden
    return { hidden, allHidden: options.allHidden ? allHidden : [] }
  }
}

/** [B,S] of ones and zeros -> bool [B,1,1,S] */
const keyMask = (mask: Tensor | undefined): Tensor | undefined => mask?.ne(0).unsqueeze(1).unsqueeze(1)

const shared = {
  vocabSize: sizes.vocabSize.default(32128),
  hiddenSize: sizes.hiddenSize.default(512),
  headDim: sizes.hiddenSize.default(64).describe('size of a head'),
  intermediateSize: sizes.intermediateSize.default(2048),
  numLayers: sizes.numLayers.default(6).describe('layers of the encoder'),
  numDecoderLayers: sizes.numLayers.optional().describe('layers of the decoder (default: numLayers)'),
  numHeads: sizes.numHeads.default(8),
  relativeBuckets: sizes.numHeads.default(32).describe('buckets of the relative bias'),
  relativeMaxDistance: sizes.maxPositions.default(128).describe('distance from which on all share the last bucket'),
  activation: settings.activation.default('relu'),
  gated: z.boolean().default(false).describe('gated feed-forward blocks, as in v1.1 and flan'),
  dropout: settings.attentionDropout.default(0.1).describe('dropout of embeddings, attention and feed-forward blocks'),
  normEps: settings.normEps.default(1e-6),
  initializerFactor: z.number().positive().default(1).describe('factor of the standard deviation of initial weights'),
  padTokenId: settings.padTokenId.default(0),
  decoderStartTokenId: settings.padTokenId.default(0).describe('id of the first token of the decoder'),
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
}
const t5Schema = z.strictObject({
  ...shared,
  scaleOutputs: z
    .boolean()
    .optional()
    .describe('divide by the root of the hidden size before the output layer (default: tiedEmbeddings)'),
})
const mt5Schema = z.strictObject({
  ...shared,
  vocabSize: sizes.vocabSize.default(250112),
  intermediateSize: sizes.intermediateSize.default(1024),
  numLayers: sizes.numLayers.default(8).describe('layers of the encoder'),
  numHeads: sizes.numHeads.default(6),
  activation: settings.activation.default('gelu_new'),
  gated: z.boolean().default(true).describe('gated feed-forward blocks'),
  tiedEmbeddings: settings.tiedEmbeddings.default(false),
})
type StackConfig = z.output<z.ZodObject<typeof shared>>

/** T5 below its head. */
export class T5Body extends Body {
  embedTokens: Embedding
  encoder: RelativeStack
  decoder?: RelativeStack

  constructor(config: StackConfig, { encoderOnly = false }: BuildOptions = {}) {
    super()
    this.embedTokens = new Embedding(config.vocabSize, config.hiddenSize)
    this.encoder = new RelativeStack(config, false)
    if (!encoderOnly) this.decoder = new RelativeStack(config, true)
  }

  forward(inputs: BodyInputs): BodyOutputs {
    const { attentionMask: mask, decoderInputIds, allHidden, recompute, recomputeIn } = inputs
    layOutDropout(inputs)
    if (inputs.starts !== undefined) refusePacking('Its relative bias')
    const encoderHidden =
      inputs.encoderHidden ??
      this.encoder.forward(this.embedTokens.forward(inputs.inputIds), { mask, recompute, recomputeIn }).hidden
    if (decoderInputIds === undefined || this.decoder === undefined) return { hidden: encoderHidden, encoderHidden }
    const decoded = this.decoder.forward(this.embedTokens.forward(decoderInputIds), {
      mask: inputs.decoderAttentionMask,
      source: encoderHidden,
      sourceMask: mask,
      cache: inputs.cache,
      pastLength: inputs.pastLength,
      recompute,
      recomputeIn,
      allHidden,
    })
    return { hidden: decoded.hidden, encoderHidden, ...(allHidden ? { allHidden: decoded.allHidden } : {}) }
  }
}

const stackKeys = (side: string, cross: boolean, gated: boolean): KeyRule[] => {
  const block = `${side}.block.{i}.layer`
  const layer = `${side}.layers.{i}`
  const mlp = cross ? 2 : 1
  const projections = (ours: string, theirs: string) =>
    ['q', 'k', 'v', 'o'].map((letter) => ({ ours: `${layer}.${ours}.${letter}Proj`, theirs: `${theirs}.${letter}` }))
  return [
    { ours: `${side}.relativeBias.table`, theirs: `${side}.block.0.layer.0.SelfAttention.relative_attention_bias` },
    { ours: `${layer}.attentionNorm`, theirs: `${block}.0.layer_norm` },
    ...projections('attention', `${block}.0.SelfAttention`),
    ...(cross
      ? [
          { ours: `${layer}.crossNorm`, theirs: `${block}.1.layer_norm` },
          ...projections('crossAttention', `${block}.1.EncDecAttention`),
        ]
      : []),
    { ours: `${layer}.mlpNorm`, theirs: `${block}.${mlp}.layer_norm` },
    ...(gated
      ? [
          { ours: `${layer}.mlp.gateProj`, theirs: `${block}.${mlp}.DenseReluDense.wi_0` },
          { ours: `${layer}.mlp.upProj`, theirs: `${block}.${mlp}.DenseReluDense.wi_1` },
        ]
      : [{ ours: `${layer}.mlp.upProj`, theirs: `${block}.${mlp}.DenseReluDense.wi` }]),
    { ours: `${layer}.mlp.downProj`, theirs: `${block}.${mlp}.DenseReluDense.wo` },
    { ours: `${side}.finalNorm`, theirs: `${side}.final_layer_norm` },
  ]
}

/** `feed_forward_proj` is "relu", or "gated-gelu", which means the tanh form of GELU; `dense_act_fn` and `is_gated_act` win over it. */
const blockFields = {
  read: (fields: Record<string, unknown>): Record<string, unknown> => {
    const { feed_forward_proj: given, dense_act_fn: own, is_gated_act: ownGate } = fields
    if (typeof given !== 'string') return { gated: ownGate, activation: own }
    const gated = given.startsWith('gated-')
    const name = gated ? given.slice('gated-'.length) : given
    return { gated: ownGate ?? gated, activation: own ?? (gated && name === 'gelu' ? 'gelu_new' : name) }
  },
  write: ({ gated, activation, numLayers, numDecoderLayers }: StackConfig): Record<string, unknown> => ({
    feed_forward_proj: gated ? `gated-${activation === 'gelu_new' ? 'gelu' : activation}` : activation,
    dense_act_fn: activation,
    is_gated_act: gated,
    // transformers takes `num_layers` where it is missing, transformers.js takes a decoder without a cache.
    num_decoder_layers: numDecoderLayers ?? numLayers,
    is_encoder_decoder: true,
  }),
}

/** What the types share, beside their settings. */
const stack = {
  build: (config: StackConfig, options?: BuildOptions) => new T5Body(config, options),
  facts: (config: StackConfig) => ({
    ...config,
    numLayers: Math.max(config.numLayers, config.numDecoderLayers ?? 0),
    maxPositions: undefined,
    initializerRange: config.initializerFactor * 0.05,
    causal: false,
    packs: false,
  }),
  hfFields: {
    vocabSize: 'vocab_size',
    hiddenSize: 'd_model',
    headDim: 'd_kv',
    intermediateSize: 'd_ff',
    numLayers: 'num_layers',
    numDecoderLayers: 'num_decoder_layers',
    numHeads: 'num_heads',
    relativeBuckets: 'relative_attention_num_buckets',
    relativeMaxDistance: 'relative_attention_max_distance',
    dropout: 'dropout_rate',
    normEps: 'layer_norm_epsilon',
    initializerFactor: 'initializer_factor',
    padTokenId: 'pad_token_id',
    decoderStartTokenId: 'decoder_start_token_id',
    tiedEmbeddings: 'tie_word_embeddings',
  },
  hfPrefix: '',
  hfKeys: ({ gated }: StackConfig) => [
    { ours: 'embedTokens', theirs: 'shared' },
    ...stackKeys('encoder', false, gated),
    ...stackKeys('decoder', true, gated),
  ],
  // An unused table in old checkpoints.
  hfIgnored: [/(^|\.)decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$/],
  hfCopies: { of: 'shared.weight', theirs: ['encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'] },
} as const

/** @param family first part of the class names @param scale factor of the hidden states before the output layer */
const headsOf = (family: string, { decoderStartTokenId }: StackConfig, scale: number): HeadEntries => {
  const prepare = shiftAfterStart(decoderStartTokenId)
  return {
    'seq2seq-lm': seq2seqLm(`${family}ForConditionalGeneration`, scale),
    // The last token, the end of the text, attends to all others in the decoder.
    'sequence-classification': sequenceClassification(
      `${family}ForSequenceClassification`,
      {
        pooling: 'last',
        dense: { activation: 'tanh', name: 'classification_head.dense', dropoutBefore: true },
        dropout: 0,
        output: 'classification_head.out_proj',
        bias: true,
      },
      { prefix: 'transformer.', prepare },
    ),
    'token-classification': tokenClassification(`${family}ForTokenClassification`, {
      dropout: 0,
      output: 'classifier',
      prefix: 'transformer.',
      encoderOnly: true,
    }),
    'question-answering': questionAnswering(`${family}ForQuestionAnswering`, { dropout: 0, prepare }),
    embedding: embedding(`${family}EncoderModel`, { encoderOnly: true }),
  }
}

const test = { vocabSize: 128, hiddenSize: 32, headDim: 8, intermediateSize: 64, numLayers: 2, numHeads: 4 }
const base = { hiddenSize: 768, numLayers: 12, numHeads: 12 }
const large = { hiddenSize: 1024, intermediateSize: 4096, numLayers: 24, numHeads: 16 }
const gated = { gated: true, activation: 'gelu_new', tiedEmbeddings: false } as const

export const t5 = defineModel({
  ...stack,
  type: 't5',
  source: 'arXiv:1910.10683',
  config: t5Schema,
  presets: {
    test,
    small: {},
    base: { ...base, intermediateSize: 3072 },
    large,
    'v1.1-small': { intermediateSize: 1024, numLayers: 8, numHeads: 6, ...gated },
    'v1.1-base': { ...base, ...gated },
    'v1.1-large': { ...large, intermediateSize: 2816, ...gated },
  },
  hfExtra: {
    read: (fields) => {
      const { scale_decoder_outputs: scale, tie_word_embeddings: tied } = fields
      return { scaleOutputs: scale ?? tied !== false, ...blockFields.read(fields) }
    },
    write: (config) => ({
      scale_decoder_outputs: config.scaleOutputs ?? config.tiedEmbeddings,
      ...blockFields.write(config),
    }),
  },
  heads: (config) => {
    const { tiedEmbeddings, scaleOutputs = tiedEmbeddings, hiddenSize } = config
    return headsOf('T5', config, scaleOutputs ? hiddenSize ** -0.5 : 1)
  },
})

export const mt5 = defineModel({
  ...stack,
  type: 'mt5',
  source: 'arXiv:2010.11934',
  config: mt5Schema,
  presets: {
    test,
    small: {},
    base: { ...base, intermediateSize: 2048 },
    large: { ...large, intermediateSize: 2816 },
  },
  hfExtra: {
    // Files without the field are those of transformers 5, which writes one matrix where they are equal.
    read: (fields) => ({ tiedEmbeddings: fields.tie_word_embeddings ?? true, ...blockFields.read(fields) }),
    write: blockFields.write,
  },
  heads: (config) => headsOf('MT5', config, 1),
})
