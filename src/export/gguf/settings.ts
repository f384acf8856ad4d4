// The settings of a model that its form in GGUF depends on, for all architectures.
import { z } from 'zod'
import type { Model } from '../../models/index.ts'

/** llama.cpp's relative positions end at this distance. */
export const relativeDistance = 128

const configSchema = z.object({
  vocabSize: z.number(),
  hiddenSize: z.number(),
  numLayers: z.number(),
  numHeads: z.number(),
  numKvHeads: z.number().optional(),
  headDim: z.number().optional(),
  intermediateSize: z.number().optional(),
  maxPositions: z.number().default(512),
  numDecoderLayers: z.number().optional(),
  relativeBuckets: z.number().default(32),
  relativeMaxDistance: z.number().default(relativeDistance),
  decoderStartTokenId: z.number().default(0),
  gated: z.boolean().default(false),
  normEps: z.number().default(1e-12),
  normBias: z.boolean().default(false),
  attentionBias: z.boolean().default(false),
  mlpBias: z.boolean().default(false),
  typeVocabSize: z.number().default(1),
  activation: z.string(),
  parallelResidual: z.boolean().default(true),
  slidingWindow: z.number().optional(),
  useSlidingWindow: z.boolean().optional(),
  localAttention: z.number().default(0),
  windowPattern: z.number().default(1),
  layerTypes: z.array(z.string()).optional(),
  queryScale: z.number().optional(),
  ropeLayers: z.array(z.number()).optional(),
  positionlessInterval: z.number().default(4),
  ropeTheta: z.number().default(10_000),
  localRopeTheta: z.number().default(10_000),
  ropeScaling: z.looseObject({ kind: z.string() }).default({ kind: 'default' }),
  partialRotaryFactor: z.number().default(1),
  scaleAttention: z.boolean().default(true),
  scaleAttentionByLayer: z.boolean().default(false),
  tiedEmbeddings: z.boolean().default(false),
  attentionSoftcap: z.number().default(0),
  logitSoftcap: z.number().default(0),
  numExperts: z.number().optional(),
  expertsPerToken: z.number().default(0),
  expertSize: z.number().optional(),
  normalizeWeights: z.boolean().default(true),
  sparseInterval: z.number().default(1),
  denseLayers: z.array(z.number()).default([]),
})
/** The settings, of which each architecture has some. */
export type Settings = z.output<typeof configSchema> & { intermediateSize: number }

export const headDimOf = ({ headDim, hiddenSize, numHeads }: Settings): number => headDim ?? hiddenSize / numHeads

/** Elements of a head that are rotated. */
export const rotaryDimOf = (settings: Settings): number =>
  Math.floor(headDimOf(settings) * settings.partialRotaryFactor)

export const settingsOf = (model: Model): Settings => {
  // Rows of RoBERTa's table of positions before the first position are not counted.
  const { maxPositions } = model.facts
  const parsed = configSchema.parse({ ...model.config, ...(maxPositions === undefined ? {} : { maxPositions }) })
  return { ...parsed, intermediateSize: parsed.intermediateSize ?? 4 * parsed.hiddenSize }
}
