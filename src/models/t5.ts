// T5 (v1.0, v1.1, flan): an encoder and a decoder with RMS norms, a learned relative bias instead of positions, and no bias
// terms. @source arXiv:1910.10683, arXiv:2002.05202 (v1.1's gated blocks)
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { Embedding, type KeyRule } from '../nn/index.ts'
import { cat, full } from '../tensor/index.ts'
import { settings, sizes } from './config-fields.ts'
import { embedding, questionAnswering, seq2seqLm, sequenceClassification, tokenClassification } from './heads/index.ts'
import { Body, type BodyInputs, type BodyOutputs, type BuildOptions, defineModel } from './model.ts'
import { RelativeStack } from './relative-stack.ts'

const schema = z.strictObject({
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
  scaleOutputs: z
    .boolean()
    .optional()
    .describe('divide by the root of the hidden size before the output layer (default: tiedEmbeddings)'),
})
type T5Config = z.output<typeof schema>

/** T5 below its head. */
export class T5Body extends Body {
  embedTokens: Embedding
  encoder: RelativeStack
  decoder?: RelativeStack

  constructor(config: T5Config, { encoderOnly = false }: BuildOptions = {}) {
    super()
    this.embedTokens = new Embedding(config.vocabSize, config.hiddenSize)
    this.encoder = new RelativeStack(config, false)
    if (!encoderOnly) this.decoder = new RelativeStack(config, true)
  }

  forward(inputs: BodyInputs): BodyOutputs {
    const { attentionMask: mask, decoderInputIds, generator, allHidden } = inputs
    if (inputs.starts !== undefined)
      throw new ConfigError(
        'Expected padded rows for a T5 model, got packed ones. Its relative bias does not support packing: disable it.',
      )
    const encoderHidden =
      inputs.encoderHidden ??
      this.encoder.forward(this.embedTokens.forward(inputs.inputIds), { mask, generator, recompute: inputs.recompute })
        .hidden
    if (decoderInputIds === undefined || this.decoder === undefined) return { hidden: encoderHidden, encoderHidden }
    const decoded = this.decoder.forward(this.embedTokens.forward(decoderInputIds), {
      mask: inputs.decoderAttentionMask,
      source: encoderHidden,
      sourceMask: mask,
      cache: inputs.cache,
      pastLength: inputs.pastLength,
      generator,
      recompute: inputs.recompute,
      allHidden,
    })
    return { hidden: decoded.hidden, encoderHidden, ...(allHidden ? { allHidden: decoded.allHidden } : {}) }
  }
}

const stackKeys = (stack: string, cross: boolean, gated: boolean): KeyRule[] => {
  const block = `${stack}.block.{i}.layer`
  const layer = `${stack}.layers.{i}`
  const mlp = cross ? 2 : 1
  const projections = (ours: string, theirs: string) =>
    ['q', 'k', 'v', 'o'].map((letter) => ({ ours: `${layer}.${ours}.${letter}Proj`, theirs: `${theirs}.${letter}` }))
  return [
    { ours: `${stack}.relativeBias.table`, theirs: `${stack}.block.0.layer.0.SelfAttention.relative_attention_bias` },
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
    { ours: `${stack}.finalNorm`, theirs: `${stack}.final_layer_norm` },
  ]
}

/** Decoder inputs where none are given: those of the encoder, shifted right after the start token. */
const decodeShifted =
  (startId: number) =>
  (inputs: BodyInputs): BodyInputs => {
    const { inputIds } = inputs
    if (inputs.decoderInputIds !== undefined) return inputs
    const [batch, length] = inputIds.shape
    const start = full([batch, 1], startId, { dtype: inputIds.dtype, device: inputIds.device })
    return { ...inputs, decoderInputIds: cat([start, inputIds.narrow(1, 0, length - 1)], 1) }
  }

const large = { hiddenSize: 1024, intermediateSize: 4096, numLayers: 24, numHeads: 16 }

export const t5 = defineModel({
  type: 't5',
  source: 'arXiv:1910.10683',
  config: schema,
  presets: {
    test: { vocabSize: 128, hiddenSize: 32, headDim: 8, intermediateSize: 64, numLayers: 2, numHeads: 4 },
    small: {},
    base: { hiddenSize: 768, intermediateSize: 3072, numLayers: 12, numHeads: 12 },
    large,
    'v1.1-small': {
      intermediateSize: 1024,
      numLayers: 8,
      numHeads: 6,
      gated: true,
      activation: 'gelu_new',
      tiedEmbeddings: false,
    },
    'v1.1-base': {
      hiddenSize: 768,
      numLayers: 12,
      numHeads: 12,
      gated: true,
      activation: 'gelu_new',
      tiedEmbeddings: false,
    },
    'v1.1-large': { ...large, intermediateSize: 2816, gated: true, activation: 'gelu_new', tiedEmbeddings: false },
  },
  build: (config, options) => new T5Body(config, options),
  facts: (config) => ({
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
  hfExtra: {
    /** `feed_forward_proj` is "relu", or "gated-gelu", which means the tanh form of GELU. */
    read: ({ feed_forward_proj: given, scale_decoder_outputs: scale, tie_word_embeddings: tied }) => {
      const scaleOutputs = scale ?? tied !== false
      if (typeof given !== 'string') return { scaleOutputs }
      const gated = given.startsWith('gated-')
      const name = gated ? given.slice('gated-'.length) : given
      return { scaleOutputs, gated, activation: gated && name === 'gelu' ? 'gelu_new' : name }
    },
    write: ({ gated, activation, scaleOutputs, tiedEmbeddings }) => ({
      scale_decoder_outputs: scaleOutputs ?? tiedEmbeddings,
      feed_forward_proj: gated ? `gated-${activation === 'gelu_new' ? 'gelu' : activation}` : activation,
      is_encoder_decoder: true,
    }),
  },
  hfPrefix: '',
  hfKeys: ({ gated }) => [
    { ours: 'embedTokens', theirs: 'shared' },
    ...stackKeys('encoder', false, gated),
    ...stackKeys('decoder', true, gated),
  ],
  // Copies of the shared embedding, and an unused table in old checkpoints.
  hfIgnored: [
    /(^|\.)(encoder|decoder)\.embed_tokens\.weight$/,
    /(^|\.)decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$/,
  ],
  heads: ({ tiedEmbeddings, scaleOutputs = tiedEmbeddings, hiddenSize, decoderStartTokenId }) => {
    const prepare = decodeShifted(decoderStartTokenId)
    return {
      'seq2seq-lm': seq2seqLm('T5ForConditionalGeneration', scaleOutputs ? hiddenSize ** -0.5 : 1),
      // The last token, the end of the text, attends to all others in the decoder.
      'sequence-classification': sequenceClassification(
        'T5ForSequenceClassification',
        {
          pooling: 'last',
          dense: { activation: 'tanh', name: 'classification_head.dense', dropoutBefore: true },
          dropout: 0,
          output: 'classification_head.out_proj',
          bias: true,
        },
        { prefix: 'transformer.', prepare },
      ),
      'token-classification': tokenClassification('T5ForTokenClassification', {
        dropout: 0,
        output: 'classifier',
        prefix: 'transformer.',
        encoderOnly: true,
      }),
      'question-answering': questionAnswering('T5ForQuestionAnswering', { dropout: 0, prepare }),
      embedding: embedding('T5EncoderModel', { encoderOnly: true }),
    }
  },
})
