// MPNet: RoBERTa's encoder with a learned bias of attention scores by distance, shared by all layers, beside its positions.
// @source arXiv:2004.09297
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { settings, sizes } from './config-fields.ts'
import { EncoderBody, encoderFields, encoderIgnored, encoderKeys, normEpsOf } from './encoder.ts'
import { defineModel } from './model.ts'
import { countFromPadding, robertaHeads } from './roberta.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(30527),
  hiddenSize: sizes.hiddenSize.default(768),
  numLayers: sizes.numLayers.default(12),
  numHeads: sizes.numHeads.default(12),
  intermediateSize: sizes.intermediateSize.default(3072),
  activation: settings.activation.default('gelu'),
  maxPositions: sizes.maxPositions.default(514).describe('rows of the position table: maximum input length + 2'),
  normEps: settings.normEps.default(1e-5),
  hiddenDropout: settings.hiddenDropout,
  attentionDropout: settings.attentionDropout.default(0.1),
  initializerRange: settings.initializerRange,
  padTokenId: settings.padTokenId
    .min(1)
    .max(1)
    .default(1)
    .describe('id of the padding token, from which positions count'),
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
})

/** The buckets of published models; transformers computes with these whatever config.json says. */
const buckets = 32

const { typeVocabSize: _, ...fields } = encoderFields
const names: Record<string, string> = {
  'attention.self.query': 'attention.attn.q',
  'attention.self.key': 'attention.attn.k',
  'attention.self.value': 'attention.attn.v',
  'attention.output.dense': 'attention.attn.o',
  'attention.output.LayerNorm': 'attention.LayerNorm',
}

export const mpnet = defineModel({
  type: 'mpnet',
  source: 'arXiv:2004.09297',
  config: schema,
  presets: {
    test: { vocabSize: 128, hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64, maxPositions: 66 },
    base: {},
  },
  build: (config) =>
    new EncoderBody(
      { ...config, typeVocabSize: 0, positionsFollowPadding: true, relativeBias: { buckets, maxDistance: 128 } },
      countFromPadding(config.padTokenId),
    ),
  facts: (config) => ({
    ...config,
    maxPositions: config.maxPositions - config.padTokenId - 1,
    causal: false,
    packs: false,
    takesPrefixes: false,
  }),
  hfFields: fields,
  hfExtra: {
    read: (fields) => {
      const { relative_attention_num_buckets: given = buckets } = fields
      if (given !== buckets)
        throw new ConfigError(
          `Expected ${buckets} for \`relative_attention_num_buckets\` in config.json, got ${given}, which is not supported. Choose another base.`,
        )
      return { normEps: normEpsOf(fields) }
    },
    write: () => ({ relative_attention_num_buckets: buckets }),
  },
  hfPrefix: 'mpnet.',
  hfKeys: () => [
    { ours: 'relativeBias.table', theirs: 'encoder.relative_attention_bias' },
    ...encoderKeys.map(({ ours, theirs }) => {
      const prefix = 'encoder.layer.{i}.'
      const own = theirs.startsWith(prefix) ? names[theirs.slice(prefix.length)] : undefined
      return { ours, theirs: own === undefined ? theirs : prefix + own }
    }),
  ],
  hfIgnored: encoderIgnored,
  heads: robertaHeads('MPNet', 'mpnet.'),
})
