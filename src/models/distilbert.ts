// DistilBERT: BERT's encoder with half the layers and no segment embeddings. @source arXiv:1910.01108
import { z } from 'zod'
import { settings, sizes } from './config-fields.ts'
import { EncoderBody, encoderHeads, encoderIgnored } from './encoder.ts'
import { defineModel, positionsOf } from './model.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(30522),
  hiddenSize: sizes.hiddenSize.default(768),
  numLayers: sizes.numLayers.default(6),
  numHeads: sizes.numHeads.default(12),
  intermediateSize: sizes.intermediateSize.default(3072),
  activation: settings.activation.default('gelu'),
  maxPositions: sizes.maxPositions.default(512),
  hiddenDropout: settings.hiddenDropout,
  attentionDropout: settings.attentionDropout.default(0.1),
  classifierDropout: settings.attentionDropout.default(0.2).describe('dropout before the output layer of classifiers'),
  answerDropout: settings.attentionDropout.default(0.1).describe('dropout before the output layer of answers'),
  initializerRange: settings.initializerRange,
  padTokenId: settings.padTokenId.default(0),
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
})

export const distilbert = defineModel({
  type: 'distilbert',
  source: 'arXiv:1910.01108',
  config: schema,
  presets: {
    test: { vocabSize: 128, hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64, maxPositions: 64 },
    base: {},
  },
  build: (config) => new EncoderBody({ ...config, typeVocabSize: 0, normEps: 1e-12 }, positionsOf),
  facts: (config) => ({ ...config, causal: false }),
  hfFields: {
    vocabSize: 'vocab_size',
    hiddenSize: 'dim',
    numLayers: 'n_layers',
    numHeads: 'n_heads',
    intermediateSize: 'hidden_dim',
    activation: 'activation',
    maxPositions: 'max_position_embeddings',
    hiddenDropout: 'dropout',
    attentionDropout: 'attention_dropout',
    classifierDropout: 'seq_classif_dropout',
    answerDropout: 'qa_dropout',
    initializerRange: 'initializer_range',
    padTokenId: 'pad_token_id',
    tiedEmbeddings: 'tie_word_embeddings',
  },
  hfPrefix: 'distilbert.',
  hfKeys: () => [
    { ours: 'embedTokens', theirs: 'embeddings.word_embeddings' },
    { ours: 'embedPositions', theirs: 'embeddings.position_embeddings' },
    { ours: 'embeddingNorm', theirs: 'embeddings.LayerNorm' },
    { ours: 'layers.{i}.attention.qProj', theirs: 'transformer.layer.{i}.attention.q_lin' },
    { ours: 'layers.{i}.attention.kProj', theirs: 'transformer.layer.{i}.attention.k_lin' },
    { ours: 'layers.{i}.attention.vProj', theirs: 'transformer.layer.{i}.attention.v_lin' },
    { ours: 'layers.{i}.attention.oProj', theirs: 'transformer.layer.{i}.attention.out_lin' },
    { ours: 'layers.{i}.attentionNorm', theirs: 'transformer.layer.{i}.sa_layer_norm' },
    { ours: 'layers.{i}.mlp.upProj', theirs: 'transformer.layer.{i}.ffn.lin1' },
    { ours: 'layers.{i}.mlp.downProj', theirs: 'transformer.layer.{i}.ffn.lin2' },
    { ours: 'layers.{i}.mlpNorm', theirs: 'transformer.layer.{i}.output_layer_norm' },
  ],
  hfIgnored: encoderIgnored,
  heads: ({ activation, hiddenDropout: dropout, classifierDropout, answerDropout, tiedEmbeddings: tied }) =>
    encoderHeads('DistilBert', {
      masked: {
        tied,
        activation,
        normEps: 1e-12,
        names: {
          dense: 'vocab_transform',
          norm: 'vocab_layer_norm',
          output: 'vocab_projector',
          bias: 'vocab_projector.bias',
        },
      },
      classifier: {
        pooling: 'first',
        dense: { activation: 'relu', name: 'pre_classifier', dropoutBefore: false },
        dropout: classifierDropout,
        output: 'classifier',
        bias: true,
      },
      dropout,
      answerDropout,
    }),
})
