// OLMo 2: the Llama stack with norms after attention and feed-forward block instead of before, and norms of queries and keys over
// all heads together. @source arXiv:2501.00656
import { z } from 'zod'
import { settings, sizes } from './config-fields.ts'
import { DecoderBody, decoderDefinition, decoderFields, decoderHeads, decoderKeys } from './decoder.ts'
import { defineModel } from './model.ts'
import { ropeSettings } from './rope-fields.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(50304),
  hiddenSize: sizes.hiddenSize.default(4096),
  numLayers: sizes.numLayers.default(32),
  numHeads: sizes.numHeads.default(32).describe('query heads'),
  numKvHeads: sizes.numHeads.optional().describe('key and value heads (default: numHeads)'),
  intermediateSize: sizes.intermediateSize.default(11008),
  activation: settings.activation.default('silu'),
  maxPositions: sizes.maxPositions.default(2048),
  normEps: settings.normEps.default(1e-5),
  ...ropeSettings,
  attentionBias: z.boolean().default(false).describe('biases of the attention projections'),
  attentionDropout: settings.attentionDropout.default(0),
  initializerRange: settings.initializerRange,
  tiedEmbeddings: settings.tiedEmbeddings.default(false),
})

const { headDim: _, ...fields } = decoderFields
const published = { vocabSize: 100352, maxPositions: 4096, normEps: 1e-6, ropeTheta: 500000 }

export const olmo2 = defineModel({
  ...decoderDefinition,
  type: 'olmo2',
  source: 'arXiv:2501.00656',
  config: schema,
  presets: {
    test: { vocabSize: 128, hiddenSize: 32, numLayers: 2, numHeads: 4, numKvHeads: 2, intermediateSize: 64 },
    '1b': { ...published, hiddenSize: 2048, numLayers: 16, numHeads: 16, intermediateSize: 8192 },
    '7b': published,
  },
  build: (config) =>
    new DecoderBody({
      ...config,
      projectionNorms: true,
      norms: 'after',
    }),
  hfFields: { ...fields, attentionBias: 'attention_bias' },
  hfKeys: () => [
    ...decoderKeys.filter(({ ours }) => !/Norm$/.test(ours) || /(query|key|final)Norm$/.test(ours)),
    { ours: 'layers.{i}.attentionOutputNorm', theirs: 'layers.{i}.post_attention_layernorm' },
    { ours: 'layers.{i}.mlpOutputNorm', theirs: 'layers.{i}.post_feedforward_layernorm' },
  ],
  heads: () => {
    // The heads that transformers has classes for.
    const { 'causal-lm': causal, 'sequence-classification': classification, embedding } = decoderHeads('Olmo2', '')
    return { 'causal-lm': causal, 'sequence-classification': classification, embedding }
  },
})
