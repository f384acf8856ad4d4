// Gemma 1, 2 and 3 (text): the Llama stack with scaled embeddings and norms whose weights are stored minus one. Gemma 2 has norms
// before and after attention and feed-forward block, soft caps of attention scores and logits, and sliding windows in every other
// layer; Gemma 3 norms of queries and keys in place of the caps, and sliding windows with their own rotary frequencies in five of
// six layers. @source arXiv:2403.08295, arXiv:2408.00118, arXiv:2503.19786
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { settings, sizes } from './config-fields.ts'
import { DecoderBody, decoderDefinition, decoderFields, decoderHeads, decoderKeys } from './decoder.ts'
import type { HeadEntries } from './heads/index.ts'
import { defineModel } from './model.ts'
import { ropeFields, ropeSettings } from './rope-fields.ts'

const shared = {
  headDim: sizes.hiddenSize.default(256).describe('size of a head'),
  activation: settings.activation.default('gelu_pytorch_tanh'),
  normEps: settings.normEps.default(1e-6),
  ...ropeSettings,
  attentionBias: z.boolean().default(false).describe('biases of the attention projections'),
  attentionDropout: settings.attentionDropout.default(0),
  initializerRange: settings.initializerRange,
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
}

const gemmaSchema = z.strictObject({
  ...shared,
  vocabSize: sizes.vocabSize.default(256000),
  hiddenSize: sizes.hiddenSize.default(3072),
  numLayers: sizes.numLayers.default(28),
  numHeads: sizes.numHeads.default(16).describe('query heads'),
  numKvHeads: sizes.numHeads.default(16).describe('key and value heads'),
  intermediateSize: sizes.intermediateSize.default(24576),
  maxPositions: sizes.maxPositions.default(8192),
})

/** Sizes of Gemma 2 and 3. */
const largerSizes = {
  vocabSize: sizes.vocabSize.default(256000),
  hiddenSize: sizes.hiddenSize.default(2304),
  numLayers: sizes.numLayers.default(26),
  numHeads: sizes.numHeads.default(8).describe('query heads'),
  numKvHeads: sizes.numHeads.default(4).describe('key and value heads'),
  intermediateSize: sizes.intermediateSize.default(9216),
  maxPositions: sizes.maxPositions.default(8192),
}

/** Settings of layers with a sliding window. */
const sliding = {
  queryScale: z.int().positive().default(256).describe('divide attention scores by the root of this'),
  slidingWindow: z.int().positive().default(4096).describe('keys that a query attends to in sliding layers'),
}

const gemma2Schema = z.strictObject({
  ...shared,
  ...largerSizes,
  ...sliding,
  layerTypes: z
    .array(z.enum(['full_attention', 'sliding_attention']))
    .optional()
    .describe('attention of each layer (default: sliding in every other layer, from the first)'),
  attentionSoftcap: z.number().nonnegative().default(50).describe('soft cap of the attention scores (0: none)'),
  logitSoftcap: z.number().nonnegative().default(30).describe('soft cap of the logits (0: none)'),
})
type Gemma2Config = z.output<typeof gemma2Schema>

const gemma3Schema = z.strictObject({
  ...shared,
  ...largerSizes,
  vocabSize: sizes.vocabSize.default(262208),
  maxPositions: sizes.maxPositions.default(131072),
  ropeTheta: ropeSettings.ropeTheta.removeDefault().default(1e6),
  localRopeTheta: z.number().positive().default(10000).describe('base of the rotary frequencies in sliding layers'),
  ...sliding,
  windowPattern: z.int().positive().default(6).describe('each such layer attends to all keys'),
  layerTypes: z
    .array(z.enum(['full_attention', 'sliding_attention']))
    .optional()
    .describe('attention of each layer (default: by windowPattern)'),
})
type Gemma3Config = z.output<typeof gemma3Schema>

type Fields = Record<string, unknown>

/** @throws ConfigError for fields that have an effect which is not supported */
const refuse = (fields: Fields, names: readonly string[]): void => {
  for (const name of names)
    if (fields[name] !== undefined && fields[name] !== null && fields[name] !== false)
      throw new ConfigError(
        `Expected no \`${name}\` in config.json, got ${JSON.stringify(fields[name])?.slice(0, 80)}, which is not supported. Choose another base.`,
      )
}

const slides = ({ layerTypes, windowPattern }: LayerKinds, layer: number): boolean =>
  layerTypes === undefined ? (layer + 1) % windowPattern !== 0 : layerTypes[layer] === 'sliding_attention'
type LayerKinds = Pick<Gemma3Config, 'layerTypes' | 'windowPattern'>

const kinds2 = ({ layerTypes }: Gemma2Config): LayerKinds => ({ layerTypes, windowPattern: 2 })

/** @throws ConfigError for a list that has not one entry per layer */
const expectPerLayer = (layerTypes: readonly string[] | undefined, numLayers: number): void => {
  if (layerTypes !== undefined && layerTypes.length !== numLayers)
    throw new ConfigError(`Expected ${numLayers} entries for \`layer_types\`, one per layer, got ${layerTypes.length}.`)
}

/** The field `layer_types`, which transformers takes before any pattern. */
const layerTypesField = (kinds: LayerKinds, numLayers: number): string[] =>
  Array.from({ length: numLayers }, (_, layer) => (slides(kinds, layer) ? 'sliding_attention' : 'full_attention'))

/** Keys of layers with norms before and after attention and feed-forward block. */
const fourNorms = [
  ...decoderKeys.filter(({ ours }) => ours !== 'layers.{i}.mlpNorm'),
  { ours: 'layers.{i}.attentionOutputNorm', theirs: 'layers.{i}.post_attention_layernorm' },
  { ours: 'layers.{i}.mlpNorm', theirs: 'layers.{i}.pre_feedforward_layernorm' },
  { ours: 'layers.{i}.mlpOutputNorm', theirs: 'layers.{i}.post_feedforward_layernorm' },
]

/** A cap in config.json, where null means none and an absent field the default. */
const capFrom = (value: unknown): unknown => (value === null ? 0 : value)
const capField = (cap: number): number | null => (cap === 0 ? null : cap)

const windowedFields = {
  ...decoderFields,
  activation: 'hidden_activation',
  attentionBias: 'attention_bias',
  queryScale: 'query_pre_attn_scalar',
  slidingWindow: 'sliding_window',
  layerTypes: 'layer_types',
} as const

/** Heads of Gemma 1 and 2: transformers has no class for question answering. */
const headsOf = (family: string): HeadEntries => {
  const { 'question-answering': _, ...heads } = decoderHeads(family, '')
  return heads
}

const test = {
  vocabSize: 128,
  hiddenSize: 32,
  numLayers: 2,
  numHeads: 4,
  numKvHeads: 2,
  headDim: 8,
  intermediateSize: 64,
}

export const gemma = defineModel({
  ...decoderDefinition,
  type: 'gemma',
  source: 'arXiv:2403.08295',
  config: gemmaSchema,
  presets: {
    test,
    '2b': { hiddenSize: 2048, numLayers: 18, numHeads: 8, numKvHeads: 1, intermediateSize: 16384 },
    '7b': {},
  },
  build: (config) =>
    new DecoderBody({
      ...config,
      normOffset: 1,
      embeddingScale: config.hiddenSize ** 0.5,
    }),
  hfFields: { ...decoderFields, attentionBias: 'attention_bias' },
  hfExtra: {
    read: (fields) => {
      refuse(fields, ['use_bidirectional_attention'])
      // The first files say "gelu" and mean the tanh form, as transformers reads them.
      return {
        ...ropeFields.read(fields),
        ...(fields.hidden_act === 'gelu' ? { activation: 'gelu_pytorch_tanh' } : {}),
      }
    },
    write: ropeFields.write,
  },
  heads: () => headsOf('Gemma'),
})

export const gemma2 = defineModel({
  ...decoderDefinition,
  type: 'gemma2',
  source: 'arXiv:2408.00118',
  config: gemma2Schema,
  presets: {
    test: { ...test, queryScale: 8, slidingWindow: 8 },
    '2b': {},
    '9b': { hiddenSize: 3584, numLayers: 42, numHeads: 16, numKvHeads: 8, intermediateSize: 14336 },
    '27b': {
      hiddenSize: 4608,
      numLayers: 46,
      numHeads: 32,
      numKvHeads: 16,
      headDim: 128,
      intermediateSize: 36864,
      queryScale: 144,
    },
  },
  build: (config) => {
    expectPerLayer(config.layerTypes, config.numLayers)
    return new DecoderBody({
      ...config,
      norms: 'both',
      normOffset: 1,
      embeddingScale: config.hiddenSize ** 0.5,
      attentionScale: config.queryScale ** -0.5,
      slidingWindow: (layer) => (slides(kinds2(config), layer) ? config.slidingWindow : 0),
    })
  },
  hfFields: {
    ...windowedFields,
    attentionSoftcap: 'attn_logit_softcapping',
    logitSoftcap: 'final_logit_softcapping',
  },
  hfExtra: {
    read: (fields) => {
      refuse(fields, ['use_bidirectional_attention'])
      return {
        ...ropeFields.read(fields),
        attentionSoftcap: capFrom(fields.attn_logit_softcapping),
        logitSoftcap: capFrom(fields.final_logit_softcapping),
      }
    },
    write: (config) => ({
      ...ropeFields.write(config),
      attn_logit_softcapping: capField(config.attentionSoftcap),
      final_logit_softcapping: capField(config.logitSoftcap),
      layer_types: layerTypesField(kinds2(config), config.numLayers),
    }),
  },
  hfKeys: () => fourNorms,
  heads: () => headsOf('Gemma2'),
})

export const gemma3 = defineModel({
  ...decoderDefinition,
  type: 'gemma3',
  hfType: 'gemma3_text',
  source: 'arXiv:2503.19786',
  config: gemma3Schema,
  presets: {
    test: { ...test, queryScale: 8, slidingWindow: 8, windowPattern: 2 },
    '270m': {
      vocabSize: 262144,
      hiddenSize: 640,
      numLayers: 18,
      numHeads: 4,
      numKvHeads: 1,
      intermediateSize: 2048,
      maxPositions: 32768,
      slidingWindow: 512,
    },
    '1b': {
      vocabSize: 262144,
      hiddenSize: 1152,
      numHeads: 4,
      numKvHeads: 1,
      intermediateSize: 6912,
      maxPositions: 32768,
      slidingWindow: 512,
    },
  },
  build: (config) => {
    expectPerLayer(config.layerTypes, config.numLayers)
    return new DecoderBody({
      ...config,
      headNorms: true,
      norms: 'both',
      normOffset: 1,
      embeddingScale: config.hiddenSize ** 0.5,
      attentionScale: config.queryScale ** -0.5,
      positionsOf: (layer) => (slides(config, layer) ? 'local' : 'global'),
      slidingWindow: (layer) => (slides(config, layer) ? config.slidingWindow : 0),
    })
  },
  hfFields: windowedFields,
  hfExtra: {
    /** Rotary settings by kind of layer; older files have `rope_theta`, `rope_scaling` and `rope_local_base_freq`. */
    read: (fields) => {
      refuse(fields, ['attn_logit_softcapping', 'final_logit_softcapping', 'use_bidirectional_attention'])
      const { full_attention: full, sliding_attention: sliding } = (fields.rope_parameters ?? {}) as {
        [layers: string]: Fields | undefined
      }
      const local = sliding ?? {}
      if (local.rope_type !== undefined && local.rope_type !== 'default')
        throw new ConfigError(
          `Expected unscaled rotary positions in sliding layers, got ${JSON.stringify(local.rope_type)?.slice(0, 80)} for \`rope_type\`.`,
        )
      return {
        // Where a file has both fields, transformers adds the older one to the newer.
        ...ropeFields.read({
          ...fields,
          rope_parameters: { ...full, ...(fields.rope_scaling as Fields | null) },
          rope_scaling: undefined,
        }),
        localRopeTheta: local.rope_theta ?? fields.rope_local_base_freq,
        windowPattern: fields.sliding_window_pattern ?? fields._sliding_window_pattern,
      }
    },
    write: (config) => ({
      rope_parameters: {
        full_attention: ropeFields.write(config).rope_parameters,
        sliding_attention: { rope_type: 'default', rope_theta: config.localRopeTheta },
      },
      layer_types: layerTypesField(config, config.numLayers),
    }),
  },
  hfKeys: () => fourNorms,
  heads: () => ({
    'causal-lm': decoderHeads('Gemma3', '')['causal-lm'],
    'sequence-classification': decoderHeads('Gemma3Text', '')['sequence-classification'],
    embedding: decoderHeads('Gemma3Text', '').embedding,
  }),
})
