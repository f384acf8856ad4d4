// Mixtral: the Llama stack with a mixture of experts in place of each feed-forward block. @source arXiv:2401.04088
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { expertFields, expertKeys, expertSettings, expertSize, routerLoss, settings, sizes } from './config-fields.ts'
import {
  DecoderBody,
  decoderDefinition,
  decoderFacts,
  decoderFields,
  decoderHeads,
  decoderKeys,
  windowField,
} from './decoder.ts'
import { defineModel } from './model.ts'
import { ropeFields, ropeSettings } from './rope-fields.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(32000),
  hiddenSize: sizes.hiddenSize.default(4096),
  numLayers: sizes.numLayers.default(32),
  numHeads: sizes.numHeads.default(32).describe('query heads'),
  numKvHeads: sizes.numHeads.default(8).describe('key and value heads'),
  headDim: sizes.hiddenSize.optional().describe('size of a head (default: hiddenSize / numHeads)'),
  intermediateSize: expertSize.default(14336),
  activation: settings.activation.default('silu'),
  maxPositions: sizes.maxPositions.default(131072),
  normEps: settings.normEps.default(1e-5),
  ...ropeSettings,
  ropeTheta: ropeSettings.ropeTheta.removeDefault().default(1e6),
  slidingWindow: z.int().nonnegative().default(0).describe('sliding window: keys that a query attends to (0: all)'),
  ...expertSettings,
  numExperts: expertSettings.numExperts.default(8),
  expertsPerToken: expertSettings.expertsPerToken.default(2),
  attentionDropout: settings.attentionDropout.default(0),
  initializerRange: settings.initializerRange,
  tiedEmbeddings: settings.tiedEmbeddings.default(false),
})

export const mixtral = defineModel({
  ...decoderDefinition,
  type: 'mixtral',
  source: 'arXiv:2401.04088',
  config: schema,
  presets: {
    test: {
      vocabSize: 128,
      hiddenSize: 32,
      numLayers: 2,
      numHeads: 4,
      numKvHeads: 2,
      intermediateSize: 24,
      maxPositions: 64,
      numExperts: 4,
    },
    '8x7b': { maxPositions: 32768, routerLossFactor: 0.02 },
    '8x22b': { hiddenSize: 6144, numLayers: 56, numHeads: 48, intermediateSize: 16384, maxPositions: 65536 },
  },
  build: (config) =>
    new DecoderBody({
      ...config,
      slidingWindow: () => config.slidingWindow,
      experts: {
        count: config.numExperts,
        perToken: config.expertsPerToken,
        intermediateSize: config.intermediateSize,
        normalize: true,
      },
    }),
  facts: (config) => ({ ...config, ...routerLoss(config), ...decoderFacts }),
  hfFields: { ...decoderFields, ...expertFields, slidingWindow: 'sliding_window' },
  hfExtra: {
    read: (fields) => {
      const { router_jitter_noise: noise } = fields
      if (noise !== undefined && noise !== null && noise !== 0)
        throw new ConfigError(
          `Expected 0 for \`router_jitter_noise\` in config.json, got ${JSON.stringify(noise)?.slice(0, 80)}, which is not supported. Set it to 0.`,
        )
      return { ...ropeFields.read(fields), numExperts: fields.num_local_experts ?? fields.num_experts }
    },
    write: (config) => ({ ...ropeFields.write(config), ...windowField(config) }),
  },
  hfKeys: ({ numExperts }) => [
    ...decoderKeys.filter(({ ours }) => !ours.startsWith('layers.{i}.mlp.')),
    ...expertKeys(numExperts, 'block_sparse_moe', { gate: 'w1', up: 'w3', down: 'w2' }),
  ],
  heads: () => decoderHeads('Mixtral', 'model.'),
})
