// GPT-2: a decoder with norms before attention and feed-forward block, and learned positions. @source Radford et al. 2019
import { z } from 'zod'
import { Attention, Dropout, Embedding, LayerNorm, Module, PlainMlp } from '../nn/index.ts'
import { settings, sizes } from './config-fields.ts'
import { causalLm, embedding, questionAnswering, sequenceClassification, tokenClassification } from './heads/index.ts'
import { attentionContext, Body, type BodyInputs, type BodyOutputs, defineModel, positionsOf } from './model.ts'
import { runPreNormLayers } from './pre-norm-layers.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(50257),
  hiddenSize: sizes.hiddenSize.default(768),
  numLayers: sizes.numLayers.default(12),
  numHeads: sizes.numHeads.default(12),
  intermediateSize: sizes.intermediateSize
    .optional()
    .describe('width of the feed-forward block (default: 4 x hiddenSize)'),
  activation: settings.activation.default('gelu_new'),
  maxPositions: sizes.maxPositions.default(1024),
  normEps: settings.normEps.default(1e-5),
  embeddingDropout: settings.hiddenDropout.describe('dropout after the embeddings'),
  hiddenDropout: settings.hiddenDropout.describe('dropout after attention and feed-forward block'),
  attentionDropout: settings.attentionDropout.default(0.1),
  initializerRange: settings.initializerRange,
  scaleAttention: z.boolean().default(true).describe('divide attention scores by the root of the head size'),
  scaleAttentionByLayer: z.boolean().default(false).describe('divide attention scores by the number of the layer too'),
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
})
type Gpt2Config = z.output<typeof schema>

class Gpt2Layer extends Module {
  attentionNorm: LayerNorm
  attention: Attention
  mlpNorm: LayerNorm
  mlp: PlainMlp
  dropout: Dropout

  constructor(config: Gpt2Config, index: number) {
    super()
    const { hiddenSize: hidden, normEps: eps, numHeads: heads } = config
    // Layers that add to the residual stream start smaller, by the number of additions.
    const outputScale = (2 * config.numLayers) ** -0.5
    const byHead = config.scaleAttention ? (hidden / heads) ** -0.5 : 1
    const scale = config.scaleAttentionByLayer ? byHead / (index + 1) : byHead
    this.attentionNorm = new LayerNorm(hidden, { eps })
    this.attention = new Attention({
      hidden,
      heads,
      causal: true,
      scale,
      dropout: config.attentionDropout,
      outputScale,
    })
    this.mlpNorm = new LayerNorm(hidden, { eps })
    this.mlp = new PlainMlp({
      hidden,
      intermediate: config.intermediateSize ?? 4 * hidden,
      activation: config.activation,
      outputScale,
    })
    this.dropout = new Dropout(config.hiddenDropout)
  }
}

/** GPT-2 below its head. */
export class Gpt2Body extends Body {
  embedTokens: Embedding
  embedPositions: Embedding
  override dropout: Dropout
  layers: Gpt2Layer[]
  finalNorm: LayerNorm

  constructor(config: Gpt2Config) {
    super()
    this.embedTokens = new Embedding(config.vocabSize, config.hiddenSize)
    this.embedPositions = new Embedding(config.maxPositions, config.hiddenSize)
    this.dropout = new Dropout(config.embeddingDropout)
    this.layers = Array.from({ length: config.numLayers }, (_, i) => new Gpt2Layer(config, i))
    this.finalNorm = new LayerNorm(config.hiddenSize, { eps: config.normEps })
  }

  forward(inputs: BodyInputs): BodyOutputs {
    const context = attentionContext(inputs)
    const embedded = this.embedTokens.forward(inputs.inputIds).add(this.embedPositions.forward(positionsOf(inputs)))
    const stream = this.dropout.forward(embedded)
    return runPreNormLayers(stream, this.layers, this.finalNorm, inputs, () => context)
  }
}

const size = (numLayers: number, hiddenSize: number, numHeads: number) => ({ numLayers, hiddenSize, numHeads })

export const gpt2 = defineModel({
  type: 'gpt2',
  source: 'Radford et al. 2019, Language Models are Unsupervised Multitask Learners',
  config: schema,
  presets: {
    test: { vocabSize: 128, hiddenSize: 32, numLayers: 2, numHeads: 4, maxPositions: 64 },
    '1m': { ...size(4, 128, 4), vocabSize: 2048, maxPositions: 512 },
    '10m': { ...size(6, 320, 5), vocabSize: 8192, maxPositions: 512 },
    '30m': { ...size(6, 384, 6), maxPositions: 512 },
    small: size(12, 768, 12),
    medium: size(24, 1024, 16),
    large: size(36, 1280, 20),
    xl: size(48, 1600, 25),
  },
  build: (config) => new Gpt2Body(config),
  facts: (config) => ({ ...config, causal: true, sharesKeys: true }),
  hfFields: {
    vocabSize: 'vocab_size',
    hiddenSize: 'n_embd',
    numLayers: 'n_layer',
    numHeads: 'n_head',
    intermediateSize: 'n_inner',
    activation: 'activation_function',
    maxPositions: 'n_positions',
    normEps: 'layer_norm_epsilon',
    embeddingDropout: 'embd_pdrop',
    hiddenDropout: 'resid_pdrop',
    attentionDropout: 'attn_pdrop',
    initializerRange: 'initializer_range',
    scaleAttention: 'scale_attn_weights',
    scaleAttentionByLayer: 'scale_attn_by_inverse_layer_idx',
    tiedEmbeddings: 'tie_word_embeddings',
  },
  hfPrefix: 'transformer.',
  hfKeys: () => [
    { ours: 'embedTokens', theirs: 'wte' },
    { ours: 'embedPositions', theirs: 'wpe' },
    { ours: 'layers.{i}.attentionNorm', theirs: 'h.{i}.ln_1' },
    {
      ours: ['layers.{i}.attention.qProj', 'layers.{i}.attention.kProj', 'layers.{i}.attention.vProj'],
      theirs: 'h.{i}.attn.c_attn',
      transposed: true,
    },
    { ours: 'layers.{i}.attention.oProj', theirs: 'h.{i}.attn.c_proj', transposed: true },
    { ours: 'layers.{i}.mlpNorm', theirs: 'h.{i}.ln_2' },
    { ours: 'layers.{i}.mlp.upProj', theirs: 'h.{i}.mlp.c_fc', transposed: true },
    { ours: 'layers.{i}.mlp.downProj', theirs: 'h.{i}.mlp.c_proj', transposed: true },
    { ours: 'finalNorm', theirs: 'ln_f' },
  ],
  hfIgnored: [/(^|\.)h\.\d+\.attn\.(masked_)?bias$/],
  heads: () => ({
    'causal-lm': causalLm('GPT2LMHeadModel'),
    'sequence-classification': sequenceClassification('GPT2ForSequenceClassification', {
      pooling: 'last',
      dropout: 0,
      output: 'score',
      bias: false,
    }),
    'token-classification': tokenClassification('GPT2ForTokenClassification', { dropout: 0.1, output: 'classifier' }),
    'question-answering': questionAnswering('GPT2ForQuestionAnswering', { dropout: 0 }),
    embedding: embedding('GPT2Model'),
  }),
})
