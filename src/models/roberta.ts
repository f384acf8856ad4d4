// RoBERTa: BERT's encoder with positions that start after the padding id, and one segment id. @source arXiv:1907.11692
import { z } from 'zod'
import type { Tensor } from '../tensor/index.ts'
import { settings, sizes } from './config-fields.ts'
import { EncoderBody, encoderFields, encoderIgnored, encoderKeys, refuseDecoders } from './encoder.ts'
import {
  embedding,
  maskedLm,
  multipleChoice,
  questionAnswering,
  sequenceClassification,
  tokenClassification,
} from './heads/index.ts'
import { type BodyInputs, defineModel } from './model.ts'
import { positionsOf } from './positions.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(50265),
  hiddenSize: sizes.hiddenSize.default(768),
  numLayers: sizes.numLayers.default(12),
  numHeads: sizes.numHeads.default(12),
  intermediateSize: sizes.intermediateSize.default(3072),
  activation: settings.activation.default('gelu'),
  maxPositions: sizes.maxPositions.default(514).describe('rows of the position table: maximum input length + 2'),
  typeVocabSize: sizes.typeVocabSize.default(1),
  normEps: settings.normEps.default(1e-5),
  hiddenDropout: settings.hiddenDropout,
  attentionDropout: settings.attentionDropout.default(0.1),
  initializerRange: settings.initializerRange,
  padTokenId: settings.padTokenId.default(1),
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
})

/** The position of padding is the padding id; other tokens count from the next one on, without padding. */
const countFromPadding =
  (padTokenId: number) =>
  (inputs: BodyInputs): Tensor => {
    if (inputs.positionIds !== undefined) return inputs.positionIds
    // As in padded rows, prepended tokens do not shift positions.
    if (inputs.starts !== undefined) return positionsOf({ ...inputs, pastLength: 0 }).add(padTokenId + 1)
    const present = inputs.inputIds.ne(padTokenId).to('int64')
    return present.cumsum(1).mul(present).add(padTokenId)
  }

export const roberta = defineModel({
  type: 'roberta',
  source: 'arXiv:1907.11692',
  config: schema,
  presets: {
    test: { vocabSize: 128, hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64, maxPositions: 66 },
    base: {},
    large: { hiddenSize: 1024, numLayers: 24, numHeads: 16, intermediateSize: 4096 },
  },
  build: (config) => new EncoderBody(config, countFromPadding(config.padTokenId)),
  facts: (config) => ({ ...config, maxPositions: config.maxPositions - config.padTokenId - 1, causal: false }),
  hfFields: encoderFields,
  hfExtra: refuseDecoders,
  hfPrefix: 'roberta.',
  hfKeys: () => encoderKeys,
  hfIgnored: encoderIgnored,
  heads: ({ normEps, hiddenDropout: dropout, tiedEmbeddings: tied }) => ({
    'masked-lm': maskedLm('RobertaForMaskedLM', {
      tied,
      activation: 'gelu',
      normEps,
      names: { dense: 'lm_head.dense', norm: 'lm_head.layer_norm', output: 'lm_head.decoder', bias: 'lm_head.bias' },
    }),
    'sequence-classification': sequenceClassification('RobertaForSequenceClassification', {
      pooling: 'first',
      dense: { activation: 'tanh', name: 'classifier.dense', dropoutBefore: true },
      dropout,
      output: 'classifier.out_proj',
      bias: true,
    }),
    'multiple-choice': multipleChoice('RobertaForMultipleChoice', {
      pooling: 'first',
      dense: { activation: 'tanh', name: 'roberta.pooler.dense', dropoutBefore: false },
      dropout,
      output: 'classifier',
      bias: true,
    }),
    'token-classification': tokenClassification('RobertaForTokenClassification', { dropout, output: 'classifier' }),
    'question-answering': questionAnswering('RobertaForQuestionAnswering', { dropout: 0 }),
    embedding: embedding('RobertaModel'),
  }),
})
