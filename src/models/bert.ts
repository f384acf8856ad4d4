// BERT: an encoder with learned positions and segment embeddings. @source arXiv:1810.04805
import { z } from 'zod'
import { settings, sizes } from './config-fields.ts'
import { EncoderBody, encoderFields, encoderHeads, encoderIgnored, encoderKeys, refuseDecoders } from './encoder.ts'
import { sentencePretraining } from './heads/index.ts'
import { defineModel, positionsOf } from './model.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(30522),
  hiddenSize: sizes.hiddenSize.default(768),
  numLayers: sizes.numLayers.default(12),
  numHeads: sizes.numHeads.default(12),
  intermediateSize: sizes.intermediateSize.default(3072),
  activation: settings.activation.default('gelu'),
  maxPositions: sizes.maxPositions.default(512),
  typeVocabSize: sizes.typeVocabSize.default(2),
  normEps: settings.normEps.default(1e-12),
  hiddenDropout: settings.hiddenDropout,
  attentionDropout: settings.attentionDropout.default(0.1),
  initializerRange: settings.initializerRange,
  padTokenId: settings.padTokenId.default(0),
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
})

/** Google's small models, by layers and width. @source arXiv:1908.08962 */
const small = (numLayers: number, hiddenSize: number) => ({
  numLayers,
  hiddenSize,
  numHeads: hiddenSize / 64,
  intermediateSize: 4 * hiddenSize,
})

export const bert = defineModel({
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
  build: (config) => new EncoderBody(config, positionsOf),
  facts: (config) => ({ ...config, causal: false }),
  hfFields: encoderFields,
  hfExtra: refuseDecoders,
  hfPrefix: 'bert.',
  hfKeys: () => encoderKeys,
  hfIgnored: encoderIgnored,
  heads: ({ activation, normEps, hiddenDropout: dropout, tiedEmbeddings: tied }) => {
    const masked = {
      tied,
      activation,
      normEps,
      names: {
        dense: 'cls.predictions.transform.dense',
        norm: 'cls.predictions.transform.LayerNorm',
        output: 'cls.predictions.decoder',
        bias: 'cls.predictions.bias',
      },
    }
    return encoderHeads('Bert', {
      masked,
      // The dense layer is the body's pooler in their files.
      classifier: {
        pooling: 'first',
        dense: { activation: 'tanh', name: 'bert.pooler.dense', dropoutBefore: false },
        dropout,
        output: 'classifier',
        bias: true,
      },
      dropout,
      pretraining: {
        'sentence-pretraining': sentencePretraining('BertForPreTraining', masked, {
          pooler: 'bert.pooler.dense',
          relation: 'cls.seq_relationship',
        }),
      },
    })
  },
})
