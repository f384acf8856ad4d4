// Qwen 3 with mixtures of experts: the stack of Qwen 3, where layers have a mixture in place of the feed-forward block.
// @source arXiv:2505.09388
import { z } from 'zod'
import { expertFields, expertKeys, expertSettings, expertSize, routerLoss, settings, sizes } from './config-fields.ts'
import { DecoderBody, decoderDefinition, decoderFacts, decoderFields, decoderHeads, decoderKeys } from './decoder.ts'
import { defineModel } from './model.ts'
import { ropeFields, ropeSettings } from './rope-fields.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(151936),
  hiddenSize: sizes.hiddenSize.default(2048),
  numLayers: sizes.numLayers.default(24),
  numHeads: sizes.numHeads.default(32).describe('query heads'),
  numKvHeads: sizes.numHeads.default(4).describe('key and value heads'),
  headDim: sizes.hiddenSize.optional().describe('size of a head (default: hiddenSize / numHeads)'),
  intermediateSize: sizes.intermediateSize.default(6144).describe('width of feed-forward blocks without experts'),
  expertSize: expertSize.default(768),
  activation: settings.activation.default('silu'),
  maxPositions: sizes.maxPositions.default(32768),
  normEps: settings.normEps.default(1e-6),
  ...ropeSettings,
  attentionBias: z.boolean().default(false).describe('biases of the attention projections'),
  useSlidingWindow: z.boolean().default(false).describe('sliding-window attention in all layers'),
  slidingWindow: z.int().positive().optional().describe('keys that a query attends to then (default: 4096)'),
  ...expertSettings,
  numExperts: expertSettings.numExperts.default(128),
  expertsPerToken: expertSettings.expertsPerToken.default(8),
  normalizeWeights: z.boolean().default(false).describe("divide the weights of a token's experts by their sum"),
  sparseInterval: z.int().positive().default(1).describe('each such layer has a mixture'),
  denseLayers: z.array(z.int().nonnegative()).optional().describe('numbers of layers without a mixture, from 0'),
  attentionDropout: settings.attentionDropout.default(0),
  initializerRange: settings.initializerRange,
  tiedEmbeddings: settings.tiedEmbeddings.default(false),
})
type Config = z.output<typeof schema>

const isSparse = ({ sparseInterval, denseLayers = [] }: Config, layer: number): boolean =>
  !denseLayers.includes(layer) && (layer + 1) % sparseInterval === 0

const published = { headDim: 128, maxPositions: 40960, ropeTheta: 1e6, normalizeWeights: true }

export const qwen3Moe = defineModel({
  ...decoderDefinition,
  type: 'qwen3-moe',
  hfType: 'qwen3_moe',
  source: 'arXiv:2505.09388',
  config: schema,
  presets: {
    test: {
      vocabSize: 128,
      hiddenSize: 32,
      numLayers: 2,
      numHeads: 4,
      numKvHeads: 2,
      headDim: 16,
      intermediateSize: 64,
      expertSize: 24,
      numExperts: 6,
      expertsPerToken: 3,
      normalizeWeights: true,
      maxPositions: 64,
    },
    '30b-a3b': { ...published, numLayers: 48 },
    '235b-a22b': {
      ...published,
      hiddenSize: 4096,
      numLayers: 94,
      numHeads: 64,
      intermediateSize: 12288,
      expertSize: 1536,
    },
  },
  build: (config) => {
    const window = config.useSlidingWindow ? (config.slidingWindow ?? 4096) : 0
    return new DecoderBody({
      ...config,
      headNorms: true,
      slidingWindow: () => window,
      experts: {
        count: config.numExperts,
        perToken: config.expertsPerToken,
        intermediateSize: config.expertSize,
        normalize: config.normalizeWeights,
        inLayer: (layer) => isSparse(config, layer),
      },
    })
  },
  facts: (config) => ({ ...config, ...routerLoss(config), ...decoderFacts }),
  hfFields: {
    ...decoderFields,
    ...expertFields,
    numExperts: 'num_experts',
    expertSize: 'moe_intermediate_size',
    attentionBias: 'attention_bias',
    useSlidingWindow: 'use_sliding_window',
    slidingWindow: 'sliding_window',
    normalizeWeights: 'norm_topk_prob',
    sparseInterval: 'decoder_sparse_step',
    denseLayers: 'mlp_only_layers',
  },
  hfExtra: {
    read: (fields) => ({
      ...ropeFields.read(fields),
      // transformers writes either name.
      numExperts: fields.num_experts ?? fields.num_local_experts,
    }),
    write: ropeFields.write,
  },
  hfKeys: ({ numExperts }) => [
    ...decoderKeys,
    ...expertKeys(numExperts, 'mlp', { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' }),
  ],
  heads: () => decoderHeads('Qwen3Moe', 'transformer.'),
})
