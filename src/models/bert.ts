// BERT: an encoder with norms after each block, learned positions and segment embeddings. @source arXiv:1810.04805
import { z } from 'zod'
import {
  type ActivationName,
  Attention,
  activationNames,
  Dropout,
  Embedding,
  LayerNorm,
  Module,
  PlainMlp,
} from '../nn/index.ts'
import type { Tensor } from '../tensor/index.ts'
import { attentionContext, Body, type BodyInputs, type BodyOutputs, defineModel } from './model.ts'
import { positionsOf } from './positions.ts'

const schema = z.strictObject({
  vocabSize: z.int().positive().default(30522).describe('entries of the vocabulary'),
  hiddenSize: z.int().positive().default(768).describe('width of the residual stream'),
  numLayers: z.int().positive().default(12).describe('blocks'),
  numHeads: z.int().positive().default(12).describe('attention heads'),
  intermediateSize: z.int().positive().default(3072).describe('width inside the feed-forward block'),
  activation: z
    .enum(activationNames as [ActivationName, ...ActivationName[]])
    .default('gelu')
    .describe('of the feed-forward block'),
  maxPositions: z.int().positive().default(512).describe('longest input'),
  typeVocabSize: z.int().positive().default(2).describe('segments'),
  normEps: z.number().positive().default(1e-12).describe('added to variances'),
  hiddenDropout: z.number().min(0).max(1).default(0.1).describe('dropout after embeddings and blocks'),
  attentionDropout: z.number().min(0).max(1).default(0.1).describe('dropout of attention weights'),
  initializerRange: z.number().positive().default(0.02).describe('standard deviation of fresh weights'),
  padTokenId: z.int().nonnegative().default(0).describe('id of the padding token'),
  tiedEmbeddings: z.boolean().default(true).describe('output layer shares the token embedding'),
})
type BertConfig = z.output<typeof schema>

class BertLayer extends Module {
  attention: Attention
  attentionNorm: LayerNorm
  mlp: PlainMlp
  mlpNorm: LayerNorm
  dropout: Dropout

  constructor(config: BertConfig) {
    super()
    const { hiddenSize: hidden, normEps: eps } = config
    this.attention = new Attention({ hidden, heads: config.numHeads, dropout: config.attentionDropout })
    this.attentionNorm = new LayerNorm(hidden, { eps })
    this.mlp = new PlainMlp({ hidden, intermediate: config.intermediateSize, activation: config.activation })
    this.mlpNorm = new LayerNorm(hidden, { eps })
    this.dropout = new Dropout(config.hiddenDropout)
  }

  forward(input: Tensor, context: ReturnType<typeof attentionContext>): Tensor {
    const drop = (x: Tensor) => this.dropout.forward(x, context.generator)
    const [, attended] = this.attentionNorm.add(input, drop(this.attention.forward(input, context)))
    return this.mlpNorm.add(attended, drop(this.mlp.forward(attended)))[1]
  }
}

class BertBody extends Body {
  embedTokens: Embedding
  embedPositions: Embedding
  embedTypes: Embedding
  embeddingNorm: LayerNorm
  dropout: Dropout
  layers: BertLayer[]

  constructor(config: BertConfig) {
    super()
    this.embedTokens = new Embedding(config.vocabSize, config.hiddenSize, { paddingIndex: config.padTokenId })
    this.embedPositions = new Embedding(config.maxPositions, config.hiddenSize)
    this.embedTypes = new Embedding(config.typeVocabSize, config.hiddenSize)
    this.embeddingNorm = new LayerNorm(config.hiddenSize, { eps: config.normEps })
    this.dropout = new Dropout(config.hiddenDropout)
    this.layers = Array.from({ length: config.numLayers }, () => new BertLayer(config))
  }

  forward(inputs: BodyInputs): BodyOutputs {
    const context = attentionContext(inputs)
    const types =
      inputs.typeIds === undefined ? this.embedTypes.weight.select(0, 0) : this.embedTypes.forward(inputs.typeIds)
    const summed = this.embedTokens
      .forward(inputs.inputIds)
      .add(types)
      .add(this.embedPositions.forward(positionsOf(inputs)))
    let hidden = this.dropout.forward(this.embeddingNorm.forward(summed), inputs.generator)
    const allHidden = [hidden]
    for (const layer of this.layers) {
      hidden = layer.forward(hidden, context)
      allHidden.push(hidden)
    }
    return inputs.allHidden ? { hidden, allHidden } : { hidden }
  }
}

/** Google's small models, by layers and width. @source arXiv:1908.08962 */
const small = (numLayers: number, hiddenSize: number) => ({
  numLayers,
  hiddenSize,
  numHeads: hiddenSize / 64,
  intermediateSize: 4 * hiddenSize,
})

export const bert = defineModel<BertConfig>({
  type: 'bert',
  source: 'arXiv:1810.04805',
  config: schema,
  presets: {
    test: { vocabSize: 128, hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64, maxPositions: 64 },
    tiny: small(2, 128),
    mini: small(4, 256),
    small: small(4, 512),
    medium: small(8, 512),
    base: small(12, 768),
    large: small(24, 1024),
  },
  build: (config) => new BertBody(config),
  facts: ({ hiddenSize, vocabSize, numLayers, maxPositions, initializerRange, tiedEmbeddings }) => ({
    hiddenSize,
    vocabSize,
    numLayers,
    maxPositions,
    initializerRange,
    tiedEmbeddings,
    causal: false,
  }),
  fromHf: (fields) =>
    schema.parse({
      vocabSize: fields.vocab_size,
      hiddenSize: fields.hidden_size,
      numLayers: fields.num_hidden_layers,
      numHeads: fields.num_attention_heads,
      intermediateSize: fields.intermediate_size,
      activation: fields.hidden_act,
      maxPositions: fields.max_position_embeddings,
      typeVocabSize: fields.type_vocab_size,
      normEps: fields.layer_norm_eps,
      hiddenDropout: fields.hidden_dropout_prob,
      attentionDropout: fields.attention_probs_dropout_prob,
      initializerRange: fields.initializer_range,
      padTokenId: fields.pad_token_id ?? undefined,
      tiedEmbeddings: fields.tie_word_embeddings,
    }),
  toHf: (config) => ({
    model_type: 'bert',
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    intermediate_size: config.intermediateSize,
    hidden_act: config.activation,
    max_position_embeddings: config.maxPositions,
    type_vocab_size: config.typeVocabSize,
    layer_norm_eps: config.normEps,
    hidden_dropout_prob: config.hiddenDropout,
    attention_probs_dropout_prob: config.attentionDropout,
    initializer_range: config.initializerRange,
    pad_token_id: config.padTokenId,
    tie_word_embeddings: config.tiedEmbeddings,
  }),
  hfPrefix: 'bert.',
  hfKeys: [
    { ours: 'embedTokens', theirs: 'embeddings.word_embeddings' },
    { ours: 'embedPositions', theirs: 'embeddings.position_embeddings' },
    { ours: 'embedTypes', theirs: 'embeddings.token_type_embeddings' },
    { ours: 'embeddingNorm', theirs: 'embeddings.LayerNorm' },
    { ours: 'layers.{i}.attention.qProj', theirs: 'encoder.layer.{i}.attention.self.query' },
    { ours: 'layers.{i}.attention.kProj', theirs: 'encoder.layer.{i}.attention.self.key' },
    { ours: 'layers.{i}.attention.vProj', theirs: 'encoder.layer.{i}.attention.self.value' },
    { ours: 'layers.{i}.attention.oProj', theirs: 'encoder.layer.{i}.attention.output.dense' },
    { ours: 'layers.{i}.attentionNorm', theirs: 'encoder.layer.{i}.attention.output.LayerNorm' },
    { ours: 'layers.{i}.mlp.upProj', theirs: 'encoder.layer.{i}.intermediate.dense' },
    { ours: 'layers.{i}.mlp.downProj', theirs: 'encoder.layer.{i}.output.dense' },
    { ours: 'layers.{i}.mlpNorm', theirs: 'encoder.layer.{i}.output.LayerNorm' },
  ],
})
