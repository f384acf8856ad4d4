// The Llama family: Llama 2 and 3, TinyLlama, SmolLM2, Mistral. @source arXiv:2302.13971, arXiv:2307.09288, arXiv:2310.06825
import { z } from 'zod'
import { settings, sizes } from './config-fields.ts'
import { DecoderBody, decoderDefinition, decoderFields, decoderHeads, windowField } from './decoder.ts'
import { defineModel } from './model.ts'
import { ropeFields, ropeSettings } from './rope-fields.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(32000),
  hiddenSize: sizes.hiddenSize.default(4096),
  numLayers: sizes.numLayers.default(32),
  numHeads: sizes.numHeads.default(32).describe('query heads'),
  numKvHeads: sizes.numHeads.optional().describe('key and value heads (default: numHeads)'),
  headDim: sizes.hiddenSize.optional().describe('size of a head (default: hiddenSize / numHeads)'),
  intermediateSize: sizes.intermediateSize.default(11008),
  activation: settings.activation.default('silu'),
  maxPositions: sizes.maxPositions.default(2048),
  normEps: settings.normEps.default(1e-6),
  ...ropeSettings,
  attentionBias: z.boolean().default(false).describe('biases of the attention projections'),
  mlpBias: z.boolean().default(false).describe('biases of the feed-forward block'),
  slidingWindow: z.int().nonnegative().default(0).describe('sliding window: keys that a query attends to (0: all)'),
  attentionDropout: settings.attentionDropout.default(0),
  initializerRange: settings.initializerRange,
  tiedEmbeddings: settings.tiedEmbeddings.default(false),
})

type LlamaConfig = z.output<typeof schema>

const test = { vocabSize: 128, hiddenSize: 32, numLayers: 2, numHeads: 4, numKvHeads: 2, intermediateSize: 64 }

/** Shared by both types; transformers reads a sliding window for Mistral only. */
const shared = {
  ...decoderDefinition,
  config: schema,
  build: (config: LlamaConfig) => new DecoderBody({ ...config, slidingWindow: () => config.slidingWindow }),
}

export const llama = defineModel({
  ...shared,
  type: 'llama',
  source: 'arXiv:2307.09288',
  presets: {
    test: { ...test, maxPositions: 64 },
    'smollm2-135m': {
      vocabSize: 49152,
      hiddenSize: 576,
      numLayers: 30,
      numHeads: 9,
      numKvHeads: 3,
      intermediateSize: 1536,
      maxPositions: 8192,
      normEps: 1e-5,
      ropeTheta: 100000,
      tiedEmbeddings: true,
    },
    'tinyllama-1.1b': { hiddenSize: 2048, numLayers: 22, numKvHeads: 4, intermediateSize: 5632, normEps: 1e-5 },
    'llama-2-7b': { maxPositions: 4096, normEps: 1e-5 },
  },
  hfFields: { ...decoderFields, attentionBias: 'attention_bias', mlpBias: 'mlp_bias' },
  heads: () => decoderHeads('Llama', 'transformer.'),
})

export const mistral = defineModel({
  ...shared,
  type: 'mistral',
  source: 'arXiv:2310.06825',
  presets: {
    test: { ...test, slidingWindow: 8 },
    '7b': { numKvHeads: 8, intermediateSize: 14336, maxPositions: 32768, normEps: 1e-5, slidingWindow: 4096 },
  },
  hfFields: { ...decoderFields, slidingWindow: 'sliding_window' },
  hfExtra: {
    // What transformers takes where a file lacks the field; null means all keys, and as many heads as queries have.
    read: (fields) => ({
      ...ropeFields.read(fields),
      slidingWindow: fields.sliding_window === undefined ? 4096 : (fields.sliding_window ?? 0),
      numKvHeads: fields.num_key_value_heads === undefined ? 8 : fields.num_key_value_heads,
    }),
    write: (config) => ({
      ...ropeFields.write(config),
      ...windowField(config),
      num_key_value_heads: config.numKvHeads ?? config.numHeads,
    }),
  },
  heads: () => decoderHeads('Mistral', 'model.'),
})
