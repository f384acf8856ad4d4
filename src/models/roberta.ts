// RoBERTa: BERT's encoder with positions that start after the padding id, and one segment id. XLM-R and CamemBERT are the same.
// @source arXiv:1907.11692, arXiv:1911.02116, arXiv:1911.03894
import { z } from 'zod'
import type { Tensor } from '../tensor/index.ts'
import { settings, sizes } from './config-fields.ts'
import {
  EncoderBody,
  encoderFields,
  encoderHeads,
  encoderIgnored,
  encoderKeys,
  normEpsOf,
  refuseDecoders,
} from './encoder.ts'
import type { HeadEntries } from './heads/index.ts'
import { type BodyInputs, defineModel, positionsOf } from './model.ts'

/** Settings; a type's file of published weights sets the sizes of its vocabulary. */
const schemaOf = (vocabSize: number) =>
  z.strictObject({
    vocabSize: sizes.vocabSize.default(vocabSize),
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
type RobertaConfig = z.output<ReturnType<typeof schemaOf>>

/** The position of padding is the padding id; other tokens count from the next one on, without padding. */
export const countFromPadding =
  (padTokenId: number) =>
  (inputs: BodyInputs): Tensor => {
    if (inputs.positionIds !== undefined) return inputs.positionIds
    // As in padded rows, prepended tokens do not shift positions.
    if (inputs.starts !== undefined) return positionsOf({ ...inputs, pastLength: 0 }).add(padTokenId + 1)
    const present = inputs.inputIds.ne(padTokenId).to('int64')
    return present.cumsum(1).mul(present).add(padTokenId)
  }

const large = { hiddenSize: 1024, numLayers: 24, numHeads: 16, intermediateSize: 4096 }
const test = { vocabSize: 128, hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64, maxPositions: 66 }

type HeadSettings = Pick<RobertaConfig, 'normEps' | 'hiddenDropout' | 'tiedEmbeddings'>

/** What the types share: XLM-R and CamemBERT are RoBERTa with another vocabulary. */
const shared = {
  build: (config: RobertaConfig) =>
    new EncoderBody({ ...config, positionsFollowPadding: true }, countFromPadding(config.padTokenId)),
  facts: (config: RobertaConfig) => ({
    ...config,
    maxPositions: config.maxPositions - config.padTokenId - 1,
    causal: false,
  }),
  hfFields: encoderFields,
  hfExtra: {
    read: (fields: Record<string, unknown>) => ({ ...refuseDecoders.read(fields), normEps: normEpsOf(fields) }),
    write: refuseDecoders.write,
  },
  hfPrefix: 'roberta.',
  hfKeys: () => encoderKeys,
  hfIgnored: encoderIgnored,
}

/** @param family first part of the class names @param prefix of the body's keys */
export const robertaHeads =
  (family: string, prefix = shared.hfPrefix) =>
  ({ normEps, hiddenDropout: dropout, tiedEmbeddings: tied }: HeadSettings): HeadEntries =>
    encoderHeads(family, {
      masked: {
        tied,
        activation: 'gelu',
        normEps,
        names: { dense: 'lm_head.dense', norm: 'lm_head.layer_norm', output: 'lm_head.decoder', bias: 'lm_head.bias' },
      },
      classifier: {
        pooling: 'first',
        dense: { activation: 'tanh', name: 'classifier.dense', dropoutBefore: true },
        dropout,
        output: 'classifier.out_proj',
        bias: true,
      },
      choice: {
        pooling: 'first',
        dense: { activation: 'tanh', name: `${prefix}pooler.dense`, dropoutBefore: false },
        dropout,
        output: 'classifier',
        bias: true,
      },
      dropout,
    })

export const roberta = defineModel({
  ...shared,
  type: 'roberta',
  source: 'arXiv:1907.11692',
  config: schemaOf(50265),
  presets: { test, base: {}, large },
  heads: robertaHeads('Roberta'),
})

export const xlmRoberta = defineModel({
  ...shared,
  type: 'xlm-roberta',
  source: 'arXiv:1911.02116',
  config: schemaOf(250002),
  presets: { test, base: {}, large },
  heads: robertaHeads('XLMRoberta'),
})

export const camembert = defineModel({
  ...shared,
  type: 'camembert',
  source: 'arXiv:1911.03894',
  config: schemaOf(32005),
  presets: { test, base: {}, large },
  heads: robertaHeads('Camembert'),
})
