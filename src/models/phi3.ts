// Phi 3 and Phi 4 mini: the Llama stack, with heads that are rotated in part and LongRoPE. Checkpoints have queries, keys and
// values in one matrix, and both projections of the gated block in another. @source arXiv:2404.14219, arXiv:2503.01743
import { z } from 'zod'
import type { KeyRule } from '../nn/index.ts'
import { settings, sizes } from './config-fields.ts'
import { DecoderBody, decoderDefinition, decoderFields, decoderHeads, decoderKeys, windowField } from './decoder.ts'
import { defineModel } from './model.ts'
import { partialRopeFields, partialRopeSettings } from './rope-fields.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(32064),
  hiddenSize: sizes.hiddenSize.default(3072),
  numLayers: sizes.numLayers.default(32),
  numHeads: sizes.numHeads.default(32).describe('query heads'),
  numKvHeads: sizes.numHeads.optional().describe('key and value heads (default: numHeads)'),
  intermediateSize: sizes.intermediateSize.default(8192),
  activation: settings.activation.default('silu'),
  maxPositions: sizes.maxPositions.default(4096),
  normEps: settings.normEps.default(1e-5),
  ...partialRopeSettings,
  partialRotaryFactor: partialRopeSettings.partialRotaryFactor.default(1),
  slidingWindow: z.int().nonnegative().default(0).describe('sliding window: keys that a query attends to (0: all)'),
  embeddingDropout: settings.attentionDropout.default(0).describe('dropout after the embeddings'),
  hiddenDropout: settings.attentionDropout.default(0).describe('dropout after attention and feed-forward block'),
  attentionDropout: settings.attentionDropout.default(0),
  initializerRange: settings.initializerRange,
  tiedEmbeddings: settings.tiedEmbeddings.default(false),
})
type Phi3Config = z.output<typeof schema>

const { headDim: _, ...fields } = decoderFields

/** Parameters that are rows of one matrix in the checkpoint. */
const fused = (block: string, names: readonly string[], theirs: string, rows?: readonly number[]): KeyRule => ({
  ours: names.map((name) => `layers.{i}.${block}.${name}Proj`),
  theirs: `layers.{i}.${theirs}`,
  rows,
})

const separate = /\.(qProj|kProj|vProj|gateProj|upProj)$/

const keysOf = ({ hiddenSize, numHeads, numKvHeads = numHeads }: Phi3Config): KeyRule[] => {
  const keyRows = (hiddenSize / numHeads) * numKvHeads
  return [
    ...decoderKeys.filter(({ ours }) => !separate.test(ours)),
    fused('attention', ['q', 'k', 'v'], 'self_attn.qkv_proj', [hiddenSize, keyRows, keyRows]),
    fused('mlp', ['gate', 'up'], 'mlp.gate_up_proj'),
  ]
}

export const phi3 = defineModel({
  ...decoderDefinition,
  type: 'phi3',
  source: 'arXiv:2404.14219',
  config: schema,
  presets: {
    test: { vocabSize: 128, hiddenSize: 32, numLayers: 2, numHeads: 4, numKvHeads: 2, intermediateSize: 64 },
    mini: {},
    'phi-4': {
      vocabSize: 100352,
      hiddenSize: 5120,
      numLayers: 40,
      numHeads: 40,
      numKvHeads: 10,
      intermediateSize: 17920,
      maxPositions: 16384,
      ropeTheta: 250000,
      slidingWindow: 0,
    },
  },
  build: (config) =>
    new DecoderBody({
      ...config,
      slidingWindow: () => config.slidingWindow,
    }),
  hfFields: {
    ...fields,
    slidingWindow: 'sliding_window',
    embeddingDropout: 'embd_pdrop',
    hiddenDropout: 'resid_pdrop',
  },
  hfExtra: {
    read: partialRopeFields.read,
    write: (config) => {
      const { ropeScaling } = config
      const original = 'originalPositions' in ropeScaling ? ropeScaling.originalPositions : config.maxPositions
      return { ...partialRopeFields.write(config), ...windowField(config), original_max_position_embeddings: original }
    },
  },
  hfKeys: keysOf,
  heads: () => {
    const { 'question-answering': __, ...heads } = decoderHeads('Phi3', 'model.')
    return heads
  },
})
