// Qwen 2 and 2.5 (biases of queries, keys and values) and Qwen 3 (norms of queries and keys instead).
// @source arXiv:2407.10671, arXiv:2505.09388
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { settings, sizes } from './config-fields.ts'
import { DecoderBody, decoderDefinition, decoderFields, decoderHeads } from './decoder.ts'
import { defineModel } from './model.ts'
import { ropeSettings } from './rope-fields.ts'

const shared = {
  vocabSize: sizes.vocabSize.default(151936),
  hiddenSize: sizes.hiddenSize.default(896),
  numLayers: sizes.numLayers.default(24),
  numHeads: sizes.numHeads.default(14).describe('query heads'),
  numKvHeads: sizes.numHeads.default(2).describe('key and value heads'),
  intermediateSize: sizes.intermediateSize.default(4864),
  activation: settings.activation.default('silu'),
  maxPositions: sizes.maxPositions.default(32768),
  normEps: settings.normEps.default(1e-6),
  ...ropeSettings,
  useSlidingWindow: z.boolean().default(false).describe('sliding-window attention in some layers'),
  slidingWindow: z.int().positive().optional().describe('keys that a query attends to in those layers (default: 4096)'),
  maxWindowLayers: z.int().nonnegative().default(28).describe('layers below this one attend to all keys'),
  layerTypes: z
    .array(z.enum(['full_attention', 'sliding_attention']))
    .optional()
    .describe('attention of each layer (default: by maxWindowLayers)'),
  attentionDropout: settings.attentionDropout.default(0),
  initializerRange: settings.initializerRange,
  tiedEmbeddings: settings.tiedEmbeddings.default(false),
}

/** @source transformers Qwen2Config, Qwen3Config: `layer_types` */
const slidingWindowOf = ({
  useSlidingWindow,
  slidingWindow = 4096,
  maxWindowLayers,
  layerTypes,
  numLayers,
}: WindowConfig) => {
  if (layerTypes !== undefined && layerTypes.length !== numLayers)
    throw new ConfigError(`Expected ${numLayers} entries for \`layer_types\`, one per layer, got ${layerTypes.length}.`)
  return (layer: number): number => {
    const slides = layerTypes === undefined ? layer >= maxWindowLayers : layerTypes[layer] === 'sliding_attention'
    return useSlidingWindow && slides ? slidingWindow : 0
  }
}
type WindowConfig = z.output<z.ZodObject<typeof shared>>

/** Names in config.json. */
const windowFields = {
  useSlidingWindow: 'use_sliding_window',
  slidingWindow: 'sliding_window',
  maxWindowLayers: 'max_window_layers',
  layerTypes: 'layer_types',
} as const

const qwen2Schema = z.strictObject({
  ...shared,
  headDim: sizes.hiddenSize.optional().describe('size of a head (default: hiddenSize / numHeads)'),
})
const qwen3Schema = z.strictObject({
  ...shared,
  headDim: sizes.hiddenSize.default(128).describe('size of a head'),
  attentionBias: z.boolean().default(false).describe('biases of the attention projections'),
})

const test = {
  vocabSize: 128,
  hiddenSize: 32,
  numLayers: 2,
  numHeads: 4,
  numKvHeads: 2,
  intermediateSize: 64,
  maxPositions: 64,
}

export const qwen2 = defineModel({
  ...decoderDefinition,
  type: 'qwen2',
  source: 'arXiv:2407.10671',
  config: qwen2Schema,
  presets: {
    test,
    '0.5b': { ropeTheta: 1e6, tiedEmbeddings: true },
    '1.5b': {
      hiddenSize: 1536,
      numLayers: 28,
      numHeads: 12,
      intermediateSize: 8960,
      ropeTheta: 1e6,
      tiedEmbeddings: true,
    },
  },
  build: (config) =>
    new DecoderBody({
      ...config,
      qkvBias: true,
      slidingWindow: slidingWindowOf(config),
    }),
  hfFields: { ...decoderFields, ...windowFields },
  heads: () => decoderHeads('Qwen2', 'transformer.'),
})

export const qwen3 = defineModel({
  ...decoderDefinition,
  type: 'qwen3',
  source: 'arXiv:2505.09388',
  config: qwen3Schema,
  presets: {
    test: { ...test, headDim: 16 },
    '0.6b': {
      hiddenSize: 1024,
      numLayers: 28,
      numHeads: 16,
      numKvHeads: 8,
      intermediateSize: 3072,
      ropeTheta: 1e6,
      tiedEmbeddings: true,
    },
  },
  build: (config) =>
    new DecoderBody({
      ...config,
      headNorms: true,
      slidingWindow: slidingWindowOf(config),
    }),
  hfFields: { ...decoderFields, ...windowFields, attentionBias: 'attention_bias' },
  heads: () => decoderHeads('Qwen3', 'transformer.'),
})
