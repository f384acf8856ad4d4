// BART and mBART: an encoder and a decoder with learned positions. mBART has norms before attention and feed-forward block.
// @source arXiv:1910.13461, arXiv:2001.08210 (mBART), arXiv:2008.00401 (mBART-50)
import { z } from 'zod'
import { Attention, type AttentionContext, Dropout, Embedding, LayerNorm, Module, PlainMlp } from '../nn/index.ts'
import { arange, type Tensor } from '../tensor/index.ts'
import { settings, sizes } from './config-fields.ts'
import { type DecoderShift, shiftAfterLast, shiftAfterStart } from './heads/head.ts'
import { embedding, type HeadEntries, questionAnswering, seq2seqLm, sequenceClassification } from './heads/index.ts'
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

/** Rows of the position table before the first position. */
export const firstPosition = 2

class CrossLayer extends Module {
  attention: Attention
  attentionNorm: LayerNorm
  crossAttention?: Attention
  crossNorm?: LayerNorm
  mlp: PlainMlp
  mlpNorm: LayerNorm
  dropout: Dropout
  readonly #normsBefore: boolean

  constructor(options: EncoderDecoderOptions, decoder: boolean) {
    super()
    const { hiddenSize: hidden, attentionDropout, activation, activationDropout: innerDropout } = options
    const heads = decoder ? options.numDecoderHeads : options.numHeads
    const intermediate = decoder ? options.decoderIntermediateSize : options.intermediateSize
    this.attention = new Attention({ hidden, heads, dropout: attentionDropout, causal: decoder })
    this.attentionNorm = new LayerNorm(hidden)
    if (decoder) {
      this.crossAttention = new Attention({ hidden, heads, dropout: attentionDropout })
      this.crossNorm = new LayerNorm(hidden)
    }
    this.mlp = new PlainMlp({ hidden, intermediate, activation, innerDropout })
    this.mlpNorm = new LayerNorm(hidden)
    this.dropout = new Dropout(options.hiddenDropout)
    this.#normsBefore = options.normsBefore
  }

  forward(input: Tensor, own: AttentionContext, cross: CrossInputs): Tensor {
    const { cache, source, context } = cross
    const add = (stream: Tensor, norm: LayerNorm, block: (x: Tensor) => Tensor): Tensor => {
      if (this.#normsBefore) return stream.add(this.dropout.forward(block(norm.forward(stream))))
      return norm.add(stream, this.dropout.forward(block(stream)))[1]
    }
    let stream = add(input, this.attentionNorm, (x) => this.attention.forward(x, own, { cache }))
    const { crossAttention, crossNorm } = this
    if (crossAttention !== undefined && crossNorm !== undefined)
      stream = add(stream, crossNorm, (x) => crossAttention.forward(x, context, { source, cache }))
    return add(stream, this.mlpNorm, (x) => this.mlp.forward(x))
  }
}

interface CrossInputs {
  cache?: NonNullable<BodyInputs['cache']>[number]
  /** Hidden states of the encoder. */
  source?: Tensor
  context?: AttentionContext
}

/** The encoder or the decoder of BART. */
export class CrossStack extends Module {
  embedPositions: Embedding
  embeddingNorm: LayerNorm
  layers: CrossLayer[]
  finalNorm?: LayerNorm
  dropout: Dropout
  /** Norms before attention and feed-forward block. */
  readonly normsBefore: boolean

  constructor(options: EncoderDecoderOptions, decoder: boolean) {
    super()
    const { hiddenSize } = options
    this.normsBefore = options.normsBefore
    this.embedPositions = new Embedding(options.maxPositions + firstPosition, hiddenSize)
    this.embeddingNorm = new LayerNorm(hiddenSize)
    const length = decoder ? options.numDecoderLayers : options.numLayers
    this.layers = Array.from({ length }, () => new CrossLayer(options, decoder))
    if (options.normsBefore) this.finalNorm = new LayerNorm(hiddenSize)
    this.dropout = new Dropout(options.hiddenDropout)
  }

  /** @param embedded token embeddings, [B,T,C] @param cross the encoder's hidden states and mask, for the decoder */
  forward(
    embedded: Tensor,
    inputs: Pick<BodyInputs, 'cache' | 'recompute' | 'recomputeIn' | 'pastLength' | 'positionIds'> & {
      mask?: Tensor
    },
    cross?: { source: Tensor; mask?: Tensor },
  ): { hidden: Tensor; allHidden: Tensor[] } {
    const { pastLength = 0, positionIds } = inputs
    const counted = positionIds ?? arange(embedded.shape[1], { device: embedded.device }).add(pastLength).unsqueeze(0)
    const summed = embedded.add(this.embedPositions.forward(counted.add(firstPosition)))
    let hidden = this.dropout.forward(this.embeddingNorm.forward(summed))
    const allHidden = [hidden]
    const own: AttentionContext = { mask: keyMask(inputs.mask) }
    const context: AttentionContext = { mask: keyMask(cross?.mask) }
    const run = layerRunner(inputs)
    // A tensor with history is an input of the layer, not captured: recomputing must not run its backward again.
    const shared = cross === undefined ? [] : [cross.source]
    this.layers.forEach((layer, i) => {
      const forward = (input: Tensor, source?: Tensor) =>
        layer.forward(input, own, { cache: inputs.cache?.[i], source, context })
      hidden = run(i, layer, forward, [hidden, ...shared])
      allHidden.push(hidden)
    })
    if (this.finalNorm !== undefined) allHidden[allHidden.length - 1] = hidden = this.finalNorm.forward(hidden)
    return { hidden, allHidden }
  }
}

/** [B,S] of ones and zeros -> bool [B,1,1,S] */
const keyMask = (mask: Tensor | undefined): Tensor | undefined => mask?.ne(0).unsqueeze(1).unsqueeze(1)

/** Both stacks as a body. */
export class EncoderDecoderBody extends Body {
  embedTokens: Embedding
  encoder: CrossStack
  decoder?: CrossStack
  /** Factor of the token embeddings. */
  readonly embeddingScale: number

  constructor(options: EncoderDecoderOptions, { encoderOnly = false }: BuildOptions = {}) {
    super()
    this.embedTokens = new Embedding(options.vocabSize, options.hiddenSize, { paddingIndex: options.padTokenId })
    this.encoder = new CrossStack(options, false)
    if (!encoderOnly) this.decoder = new CrossStack(options, true)
    this.embeddingScale = options.scaleEmbeddings ? options.hiddenSize ** 0.5 : 1
  }

  #embed(ids: Tensor): Tensor {
    const embedded = this.embedTokens.forward(ids)
    return this.embeddingScale === 1 ? embedded : embedded.mul(this.embeddingScale)
  }

  forward(inputs: BodyInputs): BodyOutputs {
    const { attentionMask: mask, decoderInputIds, allHidden } = inputs
    layOutDropout(inputs)
    if (inputs.starts !== undefined) refusePacking('Its decoder')
    const { recompute, recomputeIn, positionIds } = inputs
    const shared = { recompute, recomputeIn }
    const source =
      inputs.encoderHidden ??
      this.encoder.forward(this.#embed(inputs.inputIds), { ...shared, mask, positionIds }).hidden
    if (decoderInputIds === undefined || this.decoder === undefined) return { hidden: source, encoderHidden: source }
    const decoded = this.decoder.forward(
      this.#embed(decoderInputIds),
      { ...shared, mask: inputs.decoderAttentionMask, cache: inputs.cache, pastLength: inputs.pastLength },
      { source, mask },
    )
    return { hidden: decoded.hidden, encoderHidden: source, ...(allHidden ? { allHidden: decoded.allHidden } : {}) }
  }
}

const none = settings.attentionDropout.default(0)
const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(50265),
  hiddenSize: sizes.hiddenSize.default(1024),
  numLayers: sizes.numLayers.default(12).describe('layers of the encoder'),
  numHeads: sizes.numHeads.default(16).describe('attention heads of the encoder'),
  intermediateSize: sizes.intermediateSize.default(4096).describe('width of the feed-forward blocks of the encoder'),
  numDecoderLayers: sizes.numLayers.optional().describe('layers of the decoder (default: numLayers)'),
  numDecoderHeads: sizes.numHeads.optional().describe('attention heads of the decoder (default: numHeads)'),
  decoderIntermediateSize: sizes.intermediateSize
    .optional()
    .describe('width of the feed-forward blocks of the decoder (default: intermediateSize)'),
  activation: settings.activation.default('gelu'),
  maxPositions: sizes.maxPositions.default(1024),
  scaleEmbeddings: z.boolean().default(false).describe('multiply the token embeddings by the root of the hidden size'),
  hiddenDropout: settings.hiddenDropout,
  attentionDropout: none,
  activationDropout: none.describe('dropout inside feed-forward blocks'),
  classifierDropout: none.describe('dropout of classifiers'),
  initializerRange: settings.initializerRange,
  padTokenId: settings.padTokenId.default(1),
  eosTokenId: settings.padTokenId.default(2).describe('id of the end of a text'),
  decoderStartTokenId: settings.padTokenId.default(2).describe('id of the first token of the decoder'),
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
})
type BartConfig = z.output<typeof schema>

/** Sizes of the decoder that are not set are those of the encoder. */
const complete = (config: BartConfig) => ({
  ...config,
  numDecoderLayers: config.numDecoderLayers ?? config.numLayers,
  numDecoderHeads: config.numDecoderHeads ?? config.numHeads,
  decoderIntermediateSize: config.decoderIntermediateSize ?? config.intermediateSize,
})

/** Settings of both stacks, with norms before attention and feed-forward block (and one after the last layer), or after them. */
type EncoderDecoderOptions = ReturnType<typeof complete> & { normsBefore: boolean }

const stackKeys = (side: string, decoder: boolean) => {
  const layer = `${side}.layers.{i}`
  const projections = (ours: string, theirs: string) =>
    [
      ['q', 'q_proj'],
      ['k', 'k_proj'],
      ['v', 'v_proj'],
      ['o', 'out_proj'],
    ].map(([letter, name]) => ({ ours: `${layer}.${ours}.${letter}Proj`, theirs: `${layer}.${theirs}.${name}` }))
  return [
    { ours: `${side}.embedPositions`, theirs: `${side}.embed_positions` },
    { ours: `${side}.embeddingNorm`, theirs: `${side}.layernorm_embedding` },
    ...projections('attention', 'self_attn'),
    { ours: `${layer}.attentionNorm`, theirs: `${layer}.self_attn_layer_norm` },
    ...(decoder
      ? [
          ...projections('crossAttention', 'encoder_attn'),
          { ours: `${layer}.crossNorm`, theirs: `${layer}.encoder_attn_layer_norm` },
        ]
      : []),
    { ours: `${layer}.mlp.upProj`, theirs: `${layer}.fc1` },
    { ours: `${layer}.mlp.downProj`, theirs: `${layer}.fc2` },
    { ours: `${layer}.mlpNorm`, theirs: `${layer}.final_layer_norm` },
    { ours: `${side}.finalNorm`, theirs: `${side}.layer_norm` },
  ]
}

/** What the types share. @param normsBefore norms before attention and feed-forward block */
const stackOf = (normsBefore: boolean) =>
  ({
    config: schema,
    build: (config: BartConfig, options?: BuildOptions) =>
      new EncoderDecoderBody({ ...complete(config), normsBefore }, options),
    facts: (config: BartConfig) => ({
      ...config,
      numLayers: Math.max(config.numLayers, config.numDecoderLayers ?? 0),
      causal: false,
      packs: false,
    }),
    hfFields: {
      vocabSize: 'vocab_size',
      hiddenSize: 'd_model',
      numLayers: 'encoder_layers',
      numHeads: 'encoder_attention_heads',
      intermediateSize: 'encoder_ffn_dim',
      activation: 'activation_function',
      maxPositions: 'max_position_embeddings',
      scaleEmbeddings: 'scale_embedding',
      hiddenDropout: 'dropout',
      attentionDropout: 'attention_dropout',
      activationDropout: 'activation_dropout',
      classifierDropout: 'classifier_dropout',
      initializerRange: 'init_std',
      padTokenId: 'pad_token_id',
      eosTokenId: 'eos_token_id',
      decoderStartTokenId: 'decoder_start_token_id',
      tiedEmbeddings: 'tie_word_embeddings',
    },
    hfExtra: {
      read: (fields: Record<string, unknown>) => ({
        numDecoderLayers: fields.decoder_layers,
        numDecoderHeads: fields.decoder_attention_heads,
        decoderIntermediateSize: fields.decoder_ffn_dim,
      }),
      // Their defaults are not the sizes of the encoder.
      write: (config: BartConfig) => {
        const { numDecoderLayers, numDecoderHeads, decoderIntermediateSize } = complete(config)
        return {
          decoder_layers: numDecoderLayers,
          decoder_attention_heads: numDecoderHeads,
          decoder_ffn_dim: decoderIntermediateSize,
          is_encoder_decoder: true,
        }
      },
    },
    hfPrefix: 'model.',
    hfKeys: () => [
      { ours: 'embedTokens', theirs: 'shared' },
      ...stackKeys('encoder', false),
      ...stackKeys('decoder', true),
    ],
    // Numbers of versions in old checkpoints.
    hfIgnored: [/(^|\.)(encoder|decoder)\.version$/],
    hfCopies: { of: 'shared.weight', theirs: ['encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'] },
    // Where the embeddings are not tied, it has a table for each stack.
    needsCopies: ({ tiedEmbeddings }: BartConfig) => !tiedEmbeddings,
    hfZeros: [/^final_logits_bias$/],
  }) as const

/**
 * @param family first part of the class names
 * @param prepare derives the inputs of the decoder from those of the encoder
 * @param endTokenId the classifier reads the last token of this id (default: the last token)
 */
const headsOf = (
  family: string,
  { classifierDropout: dropout }: BartConfig,
  prepare: DecoderShift,
  endTokenId?: number,
): HeadEntries => ({
  'seq2seq-lm': seq2seqLm(`${family}ForConditionalGeneration`, 1),
  'sequence-classification': sequenceClassification(
    `${family}ForSequenceClassification`,
    {
      pooling: 'last',
      endTokenId,
      dense: { activation: 'tanh', name: 'classification_head.dense', dropoutBefore: true },
      dropout,
      output: 'classification_head.out_proj',
      bias: true,
    },
    { prepare },
  ),
  'question-answering': questionAnswering(`${family}ForQuestionAnswering`, { dropout: 0, prepare }),
  embedding: embedding(`${family}Model`, { prepare }),
})

const test = { vocabSize: 128, hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64, maxPositions: 64 }

export const bart = defineModel({
  ...stackOf(false),
  type: 'bart',
  source: 'arXiv:1910.13461',
  presets: {
    test,
    base: { hiddenSize: 768, numLayers: 6, numHeads: 12, intermediateSize: 3072 },
    large: {},
  },
  heads: (config) => headsOf('Bart', config, shiftAfterStart(config.decoderStartTokenId)),
})

export const mbart = defineModel({
  ...stackOf(true),
  type: 'mbart',
  source: 'arXiv:2001.08210',
  presets: {
    test,
    'large-cc25': { vocabSize: 250027, scaleEmbeddings: true },
    'large-50': { vocabSize: 250054, scaleEmbeddings: true },
  },
  // The code of the language comes after the end of the text.
  heads: (config) => headsOf('MBart', config, shiftAfterLast(config.padTokenId), config.eosTokenId),
})
