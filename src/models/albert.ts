// ALBERT: BERT's encoder with narrow embeddings that are projected up, and layers that share their weights.
// @source arXiv:1909.11942
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { settings, sizes } from './config-fields.ts'
import { EncoderBody, encoderFields, encoderHeads, encoderIgnored, refuseDecoders } from './encoder.ts'
import { sentencePretraining } from './heads/index.ts'
import { defineModel, positionsOf } from './model.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(30000),
  embeddingSize: sizes.hiddenSize.default(128).describe('width of the embedding tables'),
  hiddenSize: sizes.hiddenSize.default(4096),
  numLayers: sizes.numLayers.default(12),
  layerGroups: sizes.numLayers.default(1).describe('distinct layers, each used for equally many layers in a row'),
  numHeads: sizes.numHeads.default(64),
  intermediateSize: sizes.intermediateSize.default(16384),
  activation: settings.activation.default('gelu_new'),
  maxPositions: sizes.maxPositions.default(512),
  typeVocabSize: sizes.typeVocabSize.default(2),
  normEps: settings.normEps.default(1e-12),
  hiddenDropout: settings.hiddenDropout.removeDefault().default(0),
  attentionDropout: settings.attentionDropout.default(0),
  classifierDropout: settings.attentionDropout.default(0.1).describe('dropout before the output layer of classifiers'),
  initializerRange: settings.initializerRange,
  padTokenId: settings.padTokenId.default(0),
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
})

export const albert = defineModel({
  type: 'albert',
  source: 'arXiv:1909.11942',
  config: schema,
  presets: {
    test: {
      vocabSize: 128,
      embeddingSize: 16,
      hiddenSize: 32,
      numLayers: 2,
      numHeads: 4,
      intermediateSize: 64,
      maxPositions: 64,
    },
    base: { hiddenSize: 768, numHeads: 12, intermediateSize: 3072 },
    large: { hiddenSize: 1024, numLayers: 24, numHeads: 16, intermediateSize: 4096 },
    xlarge: { hiddenSize: 2048, numLayers: 24, numHeads: 16, intermediateSize: 8192 },
    xxlarge: {},
  },
  build: (config) => {
    if (config.layerGroups > config.numLayers)
      throw new ConfigError(
        `Expected at most \`numLayers\` (${config.numLayers}) for \`layerGroups\`, got ${config.layerGroups}.`,
      )
    return new EncoderBody({ ...config, projectsEmbeddings: true, dropsMlp: false }, positionsOf)
  },
  facts: (config) => ({ ...config, causal: false, takesPrefixes: false }),
  hfFields: {
    ...encoderFields,
    embeddingSize: 'embedding_size',
    layerGroups: 'num_hidden_groups',
    classifierDropout: 'classifier_dropout_prob',
  },
  hfExtra: {
    read: (fields) => {
      if (typeof fields.inner_group_num === 'number' && fields.inner_group_num !== 1)
        throw new ConfigError(
          `Expected 1 for \`inner_group_num\` in config.json, got ${fields.inner_group_num}, which is not supported. Choose another base.`,
        )
      return refuseDecoders.read(fields)
    },
    write: refuseDecoders.write,
  },
  hfPrefix: 'albert.',
  hfKeys: () => {
    const theirs = 'encoder.albert_layer_groups.{i}.albert_layers.0'
    return [
      { ours: 'embedTokens', theirs: 'embeddings.word_embeddings' },
      { ours: 'embedPositions', theirs: 'embeddings.position_embeddings' },
      { ours: 'embedTypes', theirs: 'embeddings.token_type_embeddings' },
      { ours: 'embeddingNorm', theirs: 'embeddings.LayerNorm' },
      { ours: 'embeddingProj', theirs: 'encoder.embedding_hidden_mapping_in' },
      { ours: 'layers.{i}.attention.qProj', theirs: `${theirs}.attention.query` },
      { ours: 'layers.{i}.attention.kProj', theirs: `${theirs}.attention.key` },
      { ours: 'layers.{i}.attention.vProj', theirs: `${theirs}.attention.value` },
      { ours: 'layers.{i}.attention.oProj', theirs: `${theirs}.attention.dense` },
      { ours: 'layers.{i}.attentionNorm', theirs: `${theirs}.attention.LayerNorm` },
      { ours: 'layers.{i}.mlp.upProj', theirs: `${theirs}.ffn` },
      { ours: 'layers.{i}.mlp.downProj', theirs: `${theirs}.ffn_output` },
      { ours: 'layers.{i}.mlpNorm', theirs: `${theirs}.full_layer_layer_norm` },
    ]
  },
  hfIgnored: encoderIgnored,
  heads: ({ activation, normEps, classifierDropout: dropout, tiedEmbeddings: tied }) => {
    const masked = {
      tied,
      activation,
      normEps,
      names: {
        dense: 'predictions.dense',
        norm: 'predictions.LayerNorm',
        output: 'predictions.decoder',
        bias: 'predictions.bias',
      },
    }
    return encoderHeads('Albert', {
      masked,
      classifier: {
        pooling: 'first',
        dense: { activation: 'tanh', name: 'albert.pooler', dropoutBefore: false },
        dropout,
        output: 'classifier',
        bias: true,
      },
      dropout,
      pretraining: {
        // Their second score is of the order of two sentences, in the same form.
        'sentence-pretraining': sentencePretraining('AlbertForPreTraining', masked, {
          pooler: 'albert.pooler',
          relation: 'sop_classifier.classifier',
        }),
      },
    })
  },
})
