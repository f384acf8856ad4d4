// ELECTRA: BERT's encoder with narrower embeddings that are projected up, as generator and discriminator. @source arXiv:2003.10555
import { z } from 'zod'
import { settings, sizes } from './config-fields.ts'
import { EncoderBody, encoderFields, encoderHeads, encoderIgnored, encoderKeys, refuseDecoders } from './encoder.ts'
import { replacedTokenDetection } from './heads/index.ts'
import { defineModel, positionsOf } from './model.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(30522),
  embeddingSize: sizes.hiddenSize.default(128).describe('width of the embedding tables'),
  hiddenSize: sizes.hiddenSize.default(256),
  numLayers: sizes.numLayers.default(12),
  numHeads: sizes.numHeads.default(4),
  intermediateSize: sizes.intermediateSize.default(1024),
  activation: settings.activation.default('gelu'),
  maxPositions: sizes.maxPositions.default(512),
  typeVocabSize: sizes.typeVocabSize.default(2),
  normEps: settings.normEps.default(1e-12),
  hiddenDropout: settings.hiddenDropout,
  attentionDropout: settings.attentionDropout.default(0.1),
  summaryDropout: settings.attentionDropout.default(0.1).describe('dropout before the output layer of multiple choice'),
  initializerRange: settings.initializerRange,
  padTokenId: settings.padTokenId.default(0),
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
})

export const electra = defineModel({
  type: 'electra',
  source: 'arXiv:2003.10555',
  config: schema,
  presets: {
    test: { vocabSize: 128, embeddingSize: 16, hiddenSize: 32, numLayers: 2, intermediateSize: 64, maxPositions: 64 },
    small: {},
    base: { embeddingSize: 768, hiddenSize: 768, numHeads: 12, intermediateSize: 3072 },
    large: { embeddingSize: 1024, hiddenSize: 1024, numLayers: 24, numHeads: 16, intermediateSize: 4096 },
  },
  build: (config) => new EncoderBody(config, positionsOf),
  facts: (config) => ({ ...config, causal: false }),
  hfFields: { ...encoderFields, embeddingSize: 'embedding_size', summaryDropout: 'summary_last_dropout' },
  hfExtra: refuseDecoders,
  hfPrefix: 'electra.',
  hfKeys: () => encoderKeys,
  hfIgnored: encoderIgnored,
  heads: ({ activation, normEps, hiddenDropout: dropout, summaryDropout, tiedEmbeddings: tied }) =>
    encoderHeads('Electra', {
      masked: {
        tied,
        activation: 'gelu',
        normEps,
        names: {
          dense: 'generator_predictions.dense',
          norm: 'generator_predictions.LayerNorm',
          output: 'generator_lm_head',
          bias: 'generator_lm_head.bias',
        },
      },
      classifier: {
        pooling: 'first',
        dense: { activation: 'gelu', name: 'classifier.dense', dropoutBefore: true },
        dropout,
        output: 'classifier.out_proj',
        bias: true,
      },
      choice: {
        pooling: 'first',
        dense: { activation: 'gelu', name: 'sequence_summary.summary', dropoutBefore: false },
        dropout: summaryDropout,
        output: 'classifier',
        bias: true,
      },
      dropout,
      pretraining: {
        'replaced-token-detection': replacedTokenDetection('ElectraForPreTraining', activation, {
          dense: 'discriminator_predictions.dense',
          classifier: 'discriminator_predictions.dense_prediction',
        }),
      },
    }),
})
