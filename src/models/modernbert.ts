// ModernBERT: an encoder with norms before attention and feed-forward block, gated blocks, rotary positions, and sliding windows
// with their own rotary frequencies in two of three layers. @source arXiv:2412.13663
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { Attention, Dropout, Embedding, GatedMlp, LayerNorm, Module, RotaryTable } from '../nn/index.ts'
import { settings, sizes } from './config-fields.ts'
import { refuseDecoders } from './encoder.ts'
import {
  type ClassifierShape,
  type DenseShape,
  embedding,
  maskedLm,
  multipleChoice,
  questionAnswering,
  sequenceClassification,
  tokenClassification,
} from './heads/index.ts'
import { attentionContext, Body, type BodyInputs, type BodyOutputs, defineModel, positionsOf } from './model.ts'
import { runPreNormLayers } from './pre-norm-layers.ts'

const none = settings.attentionDropout.default(0)
const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(50368),
  hiddenSize: sizes.hiddenSize.default(768),
  numLayers: sizes.numLayers.default(22),
  numHeads: sizes.numHeads.default(12),
  intermediateSize: sizes.intermediateSize.default(1152),
  activation: settings.activation.default('gelu'),
  maxPositions: sizes.maxPositions.default(8192),
  normEps: settings.normEps.default(1e-5),
  normBias: z.boolean().default(false).describe('biases of the norms'),
  ropeTheta: z.number().positive().default(160000).describe('base of the rotary frequencies'),
  localRopeTheta: z.number().positive().default(10000).describe('base of the rotary frequencies in sliding layers'),
  localAttention: z
    .int()
    .positive()
    .default(128)
    .describe('tokens around a query that it attends to in sliding layers'),
  windowPattern: z.int().positive().default(3).describe('the first of so many layers attends to all tokens'),
  layerTypes: z
    .array(z.enum(['full_attention', 'sliding_attention']))
    .optional()
    .describe('attention of each layer (default: by windowPattern)'),
  attentionBias: z.boolean().default(false).describe('biases of the attention projections'),
  mlpBias: z.boolean().default(false).describe('biases of the feed-forward block'),
  embeddingDropout: none.describe('dropout after the embeddings'),
  attentionDropout: none.describe('dropout of attention weights, and after attention'),
  mlpDropout: none.describe('dropout inside the feed-forward block'),
  classifierPooling: z.enum(['cls', 'mean']).default('cls').describe('pooling of a text to one vector in classifiers'),
  classifierDropout: none.describe('dropout before the output layer of classifiers'),
  classifierBias: z.boolean().default(false).describe('bias of the dense layer of heads'),
  classifierActivation: settings.activation.default('gelu').describe('activation of the dense layer of heads'),
  decoderBias: z.boolean().default(true).describe('bias of the output layer of masked-token prediction'),
  initializerRange: settings.initializerRange,
  padTokenId: settings.padTokenId.default(50283),
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
})
type ModernBertConfig = z.output<typeof schema>

const slides = ({ layerTypes, windowPattern }: ModernBertConfig, layer: number): boolean =>
  layerTypes === undefined ? layer % windowPattern !== 0 : layerTypes[layer] === 'sliding_attention'

class ModernBertLayer extends Module {
  attentionNorm?: LayerNorm
  attention: Attention
  mlpNorm: LayerNorm
  mlp: GatedMlp
  attentionDropout: Dropout

  constructor(config: ModernBertConfig, index: number) {
    super()
    const { hiddenSize: hidden, normEps: eps, normBias, attentionDropout: dropout } = config
    const outputScale = (2 * config.numLayers) ** -0.5
    // The norm of the embeddings is that of the first layer.
    if (index > 0) this.attentionNorm = new LayerNorm(hidden, { eps, bias: normBias })
    this.attention = new Attention({
      hidden,
      heads: config.numHeads,
      bias: config.attentionBias,
      // Half of the tokens on each side, and the query's own.
      window: slides(config, index) ? Math.floor(config.localAttention / 2) + 1 : 0,
      dropout,
      outputScale,
    })
    this.mlpNorm = new LayerNorm(hidden, { eps, bias: normBias })
    this.mlp = new GatedMlp({
      hidden,
      intermediate: config.intermediateSize,
      activation: config.activation,
      bias: config.mlpBias,
      innerDropout: config.mlpDropout,
      outputScale,
    })
    this.attentionDropout = new Dropout(dropout)
  }
}

/** ModernBERT below its head. */
export class ModernBertBody extends Body {
  embedTokens: Embedding
  embeddingNorm: LayerNorm
  override dropout: Dropout
  layers: ModernBertLayer[]
  finalNorm: LayerNorm
  readonly #sliding: readonly boolean[]
  readonly #rotary: RotaryTable
  readonly #localRotary: RotaryTable

  /** @throws ConfigError for a list of layer types of another length */
  constructor(config: ModernBertConfig) {
    super()
    const { hiddenSize, numLayers, normEps: eps, normBias: bias, layerTypes } = config
    if (layerTypes !== undefined && layerTypes.length !== numLayers)
      throw new ConfigError(
        `Expected ${numLayers} entries for \`layer_types\`, one per layer, got ${layerTypes.length}.`,
      )
    this.embedTokens = new Embedding(config.vocabSize, hiddenSize, { paddingIndex: config.padTokenId })
    this.embeddingNorm = new LayerNorm(hiddenSize, { eps, bias })
    this.dropout = new Dropout(config.embeddingDropout)
    this.layers = Array.from({ length: numLayers }, (_, i) => new ModernBertLayer(config, i))
    this.finalNorm = new LayerNorm(hiddenSize, { eps, bias })
    this.#sliding = this.layers.map((_, i) => slides(config, i))
    const table = (theta: number) =>
      new RotaryTable({ rotaryDim: hiddenSize / config.numHeads, theta, scaling: { kind: 'default' } })
    this.#rotary = table(config.ropeTheta)
    this.#localRotary = table(config.localRopeTheta)
  }

  /** Rotary positions of a layer. */
  rotaryOf(layer: number): RotaryTable {
    return this.#sliding[layer] ? this.#localRotary : this.#rotary
  }

  forward(inputs: BodyInputs): BodyOutputs {
    const positions = positionsOf(inputs)
    const context = attentionContext(inputs)
    const everywhere = { ...context, angles: this.#rotary.at(positions) }
    const nearby = { ...context, angles: this.#localRotary.at(positions) }
    const normed = this.embeddingNorm.forward(this.embedTokens.forward(inputs.inputIds))
    const embedded = this.dropout.forward(normed)
    return runPreNormLayers(embedded, this.layers, this.finalNorm, inputs, (layer) =>
      this.#sliding[layer] ? nearby : everywhere,
    )
  }
}

type Fields = Record<string, unknown>

/** Rotary bases: `rope_parameters` by kind of layer, or two fields before transformers 5. @throws ConfigError for a scaling */
const readRope = (fields: Fields): Fields => {
  const byLayer = (fields.rope_parameters ?? {}) as Record<string, Fields | undefined>
  for (const given of Object.values(byLayer))
    if (((given as Fields | undefined)?.rope_type ?? 'default') !== 'default')
      throw new ConfigError(
        `Expected "default" for \`rope_type\` in config.json, got ${JSON.stringify((given as Fields).rope_type)?.slice(0, 80)}, which ModernBERT is not supported with.`,
      )
  return {
    ropeTheta: byLayer.full_attention?.rope_theta ?? fields.global_rope_theta,
    localRopeTheta: byLayer.sliding_attention?.rope_theta ?? fields.local_rope_theta,
    windowPattern: fields.global_attn_every_n_layers,
  }
}

const writeRope = (config: ModernBertConfig): Fields => ({
  rope_parameters: {
    full_attention: { rope_type: 'default', rope_theta: config.ropeTheta },
    sliding_attention: { rope_type: 'default', rope_theta: config.localRopeTheta },
  },
  global_rope_theta: config.ropeTheta,
  local_rope_theta: config.localRopeTheta,
  global_attn_every_n_layers: config.windowPattern,
  layer_types: Array.from({ length: config.numLayers }, (_, i) =>
    slides(config, i) ? 'sliding_attention' : 'full_attention',
  ),
})

export const modernBert = defineModel({
  type: 'modernbert',
  source: 'arXiv:2412.13663',
  config: schema,
  presets: {
    test: {
      vocabSize: 128,
      hiddenSize: 32,
      numLayers: 4,
      numHeads: 4,
      intermediateSize: 48,
      localAttention: 8,
      padTokenId: 0,
    },
    base: {},
    large: { hiddenSize: 1024, numLayers: 28, numHeads: 16, intermediateSize: 2624 },
  },
  build: (config) => new ModernBertBody(config),
  facts: (config) => ({ ...config, maxPositions: undefined, causal: false }),
  hfFields: {
    vocabSize: 'vocab_size',
    hiddenSize: 'hidden_size',
    numLayers: 'num_hidden_layers',
    numHeads: 'num_attention_heads',
    intermediateSize: 'intermediate_size',
    activation: 'hidden_activation',
    maxPositions: 'max_position_embeddings',
    normEps: 'norm_eps',
    normBias: 'norm_bias',
    localAttention: 'local_attention',
    layerTypes: 'layer_types',
    attentionBias: 'attention_bias',
    mlpBias: 'mlp_bias',
    embeddingDropout: 'embedding_dropout',
    attentionDropout: 'attention_dropout',
    mlpDropout: 'mlp_dropout',
    classifierPooling: 'classifier_pooling',
    classifierDropout: 'classifier_dropout',
    classifierBias: 'classifier_bias',
    classifierActivation: 'classifier_activation',
    decoderBias: 'decoder_bias',
    initializerRange: 'initializer_range',
    padTokenId: 'pad_token_id',
    tiedEmbeddings: 'tie_word_embeddings',
  },
  hfExtra: { read: (fields) => ({ ...refuseDecoders.read(fields), ...readRope(fields) }), write: writeRope },
  hfPrefix: 'model.',
  hfKeys: () => [
    { ours: 'embedTokens', theirs: 'embeddings.tok_embeddings' },
    { ours: 'embeddingNorm', theirs: 'embeddings.norm' },
    { ours: 'layers.{i}.attentionNorm', theirs: 'layers.{i}.attn_norm' },
    {
      ours: ['layers.{i}.attention.qProj', 'layers.{i}.attention.kProj', 'layers.{i}.attention.vProj'],
      theirs: 'layers.{i}.attn.Wqkv',
    },
    { ours: 'layers.{i}.attention.oProj', theirs: 'layers.{i}.attn.Wo' },
    { ours: 'layers.{i}.mlpNorm', theirs: 'layers.{i}.mlp_norm' },
    { ours: ['layers.{i}.mlp.gateProj', 'layers.{i}.mlp.upProj'], theirs: 'layers.{i}.mlp.Wi' },
    { ours: 'layers.{i}.mlp.downProj', theirs: 'layers.{i}.mlp.Wo' },
    { ours: 'finalNorm', theirs: 'final_norm' },
  ],
  hfIgnored: [],
  heads: (config) => {
    const { normEps: eps, normBias, classifierDropout: dropout, classifierActivation: activation } = config
    const dense: DenseShape = {
      activation,
      name: 'head.dense',
      dropoutBefore: false,
      bias: config.classifierBias,
      norm: { name: 'head.norm', eps, bias: normBias },
    }
    const classifier: ClassifierShape = {
      pooling: config.classifierPooling === 'cls' ? 'first' : 'mean',
      dense,
      dropout,
      output: 'classifier',
      bias: true,
    }
    const tokens = { dense, dropout, output: 'classifier' }
    return {
      'masked-lm': maskedLm('ModernBertForMaskedLM', {
        activation,
        normEps: eps,
        biases: { dense: config.classifierBias, norm: normBias, output: config.decoderBias },
        tied: config.tiedEmbeddings,
        names: { dense: 'head.dense', norm: 'head.norm', output: 'decoder', bias: 'decoder.bias' },
      }),
      'sequence-classification': sequenceClassification('ModernBertForSequenceClassification', classifier),
      'multiple-choice': multipleChoice('ModernBertForMultipleChoice', classifier),
      'token-classification': tokenClassification('ModernBertForTokenClassification', tokens),
      'question-answering': questionAnswering('ModernBertForQuestionAnswering', tokens),
      embedding: embedding('ModernBertModel'),
    }
  },
})
