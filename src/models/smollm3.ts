// SmolLM3: the Llama stack with rotary positions in three of four layers. @source https://huggingface.co/blog/smollm3
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { settings, sizes } from './config-fields.ts'
import { DecoderBody, decoderDefinition, decoderFields, decoderHeads } from './decoder.ts'
import { defineModel } from './model.ts'
import { ropeSettings } from './rope-fields.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(128256),
  hiddenSize: sizes.hiddenSize.default(2048),
  numLayers: sizes.numLayers.default(36),
  numHeads: sizes.numHeads.default(16).describe('query heads'),
  numKvHeads: sizes.numHeads.default(4).describe('key and value heads'),
  intermediateSize: sizes.intermediateSize.default(11008),
  activation: settings.activation.default('silu'),
  maxPositions: sizes.maxPositions.default(32768),
  normEps: settings.normEps.default(1e-6),
  ...ropeSettings,
  ropeTheta: ropeSettings.ropeTheta.removeDefault().default(2e6),
  ropeLayers: z
    .array(z.union([z.literal(0), z.literal(1)]))
    .optional()
    .describe('1 for each layer with rotary positions (default: by positionlessInterval)'),
  positionlessInterval: z.int().positive().default(4).describe('each such layer has no positions'),
  useSlidingWindow: z.boolean().default(false).describe('sliding-window attention in layers without positions'),
  slidingWindow: z.int().positive().optional().describe('keys that a query attends to in those layers'),
  layerTypes: z
    .array(z.enum(['full_attention', 'sliding_attention']))
    .optional()
    .describe('attention of each layer (default: by useSlidingWindow)'),
  attentionBias: z.boolean().default(false).describe('biases of the attention projections'),
  mlpBias: z.boolean().default(false).describe('biases of the feed-forward block'),
  attentionDropout: settings.attentionDropout.default(0),
  initializerRange: settings.initializerRange,
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
})
type SmolLm3Config = z.output<typeof schema>

const { headDim: _, ...fields } = decoderFields

const hasPositions = ({ ropeLayers, positionlessInterval }: SmolLm3Config, layer: number): boolean =>
  ropeLayers === undefined ? (layer + 1) % positionlessInterval !== 0 : ropeLayers[layer] === 1

/** @throws ConfigError for a list that has not one entry per layer */
const expectPerLayer = (name: string, list: readonly unknown[] | undefined, numLayers: number): void => {
  if (list !== undefined && list.length !== numLayers)
    throw new ConfigError(`Expected ${numLayers} entries for \`${name}\`, one per layer, got ${list.length}.`)
}

const windowOf =
  (config: SmolLm3Config) =>
  (layer: number): number => {
    const { useSlidingWindow, slidingWindow, layerTypes } = config
    const slides = layerTypes === undefined ? !hasPositions(config, layer) : layerTypes[layer] === 'sliding_attention'
    return useSlidingWindow && slides ? (slidingWindow ?? 0) : 0
  }

export const smollm3 = defineModel({
  ...decoderDefinition,
  type: 'smollm3',
  source: 'https://huggingface.co/blog/smollm3',
  config: schema,
  presets: {
    test: { vocabSize: 128, hiddenSize: 32, numLayers: 4, numHeads: 4, numKvHeads: 2, intermediateSize: 64 },
    '3b': { maxPositions: 65536, ropeTheta: 5e6 },
  },
  build: (config) => {
    expectPerLayer('no_rope_layers', config.ropeLayers, config.numLayers)
    expectPerLayer('layer_types', config.layerTypes, config.numLayers)
    return new DecoderBody({
      ...config,
      positionsOf: (layer) => (hasPositions(config, layer) ? 'global' : 'none'),
      slidingWindow: windowOf(config),
    })
  },
  hfFields: {
    ...fields,
    ropeLayers: 'no_rope_layers',
    positionlessInterval: 'no_rope_layer_interval',
    useSlidingWindow: 'use_sliding_window',
    slidingWindow: 'sliding_window',
    layerTypes: 'layer_types',
    attentionBias: 'attention_bias',
    mlpBias: 'mlp_bias',
  },
  heads: () => decoderHeads('SmolLM3', 'transformer.'),
})
