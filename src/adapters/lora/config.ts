// Settings of LoRA and of what its files have, and LoRA on a list of layers.
import { z } from 'zod'
import { ConfigError, type Named } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import { type AttachContext, type Attachment, adapterFields } from '../adapter.ts'
import { fusedGroups, type TargetLayer, targetsField } from '../targets.ts'
import { EMBEDDING_PATH } from './embedding.ts'
import { initializationOf, initializeLayers, type LoraInit, loraInits } from './initialize.ts'
import { LoraLayer, type LoraShape } from './layer.ts'

export const loraSchema = z.strictObject({
  targets: targetsField,
  rank: z.int().min(1).max(4096).default(8).describe('rank of the low-rank matrices'),
  alpha: z.number().positive().default(16).describe('scaling: the change is multiplied by alpha / rank'),
  rankPattern: z
    .record(z.string(), z.int().min(1).max(4096))
    .default({})
    .describe('ranks of some layers by name or pattern, such as {"layers.{8-11}.*": 16}; the first match counts'),
  alphaPattern: z
    .record(z.string(), z.number().positive())
    .default({})
    .describe('alphas of some layers by name or pattern; the first match counts'),
  init: z
    .enum(loraInits)
    .default('default')
    .describe(
      'initial values: default (no change), pissa or olora (factors of the frozen matrix), loftq (of the error of a quantised base)',
    ),
  initIterations: z
    .int()
    .min(0)
    .max(100)
    .optional()
    .describe(
      'pissa: subspace iterations of a randomised SVD; 4 to 16 are usual, faster for large matrices (default: exact)',
    ),
  dropout: z.number().min(0).max(0.99).default(0).describe('dropout on the input of the low-rank matrices'),
  rsLora: z.boolean().default(false).describe('rsLoRA: multiply by alpha / sqrt(rank) instead (arXiv:2312.03732)'),
  dora: z
    .boolean()
    .default(false)
    .describe('DoRA: train the norm of each weight row separately from its direction (arXiv:2402.09353)'),
  loraPlusRatio: z
    .number()
    .positive()
    .default(1)
    .describe('LoRA+: ratio of the learning rate of B to that of A; 16 is usual (arXiv:2402.12354)'),
  tokens: z
    .array(z.string().min(1))
    .default([])
    .describe('tokens whose rows of embedding and output layer are trained too, such as new ones of a chat template'),
  ...adapterFields,
})
/** Checked settings of LoRA. */
export type LoraConfig = z.output<Named<'lora', typeof loraSchema>>

/** Settings of the adapter in files, which are plain LoRA: initial factors double its rank. */
export const plainConfig = (config: LoraConfig): LoraConfig => {
  const { initIterations: _, ...rest } = config
  if (initializationOf(config.init) === undefined) return config
  const times = (values: Record<string, number>, factor: number) =>
    Object.fromEntries(Object.entries(values).map(([pattern, value]) => [pattern, value * factor]))
  const factor = config.rsLora ? Math.SQRT2 : 2
  return {
    ...rest,
    init: 'default',
    rank: 2 * config.rank,
    alpha: factor * config.alpha,
    rankPattern: times(config.rankPattern, 2),
    alphaPattern: times(config.alphaPattern, factor),
  }
}

export type LoraTarget = TargetLayer & { shape: LoraShape }

/** Settings of LoRA beside its shapes. */
interface AttachSettings {
  loraPlusRatio: number
  init: LoraInit
  initIterations?: number
}

const expectEqualShapes = (targets: readonly LoraTarget[]): void => {
  const [{ shape: first }] = targets
  const other = targets.find(({ shape }) => shape.rank !== first.rank || shape.alpha !== first.alpha)
  if (other !== undefined)
    throw new ConfigError(
      `Expected one rank and alpha for ${targets.map(({ path }) => path).join(', ')}, which are one matrix in files, got ${first.rank} and ${other.shape.rank}, ${first.alpha} and ${other.shape.alpha}. Change \`rankPattern\` or \`alphaPattern\`.`,
    )
}

/** Layers that are fused into one matrix in files of transformers share A, as in PEFT. */
export const attachLora = (
  model: Model,
  places: readonly LoraTarget[],
  { loraPlusRatio, init, initIterations: iterations }: AttachSettings,
  { generator, original }: AttachContext,
): Attachment => {
  const groups = fusedGroups(model)
  const byGroup = new Map<unknown, LoraTarget[]>()
  for (const target of places) {
    const group = groups.get(target.path) ?? target.path
    byGroup.set(group, [...(byGroup.get(group) ?? []), target])
  }
  const layers = new Map<string, LoraLayer>()
  for (const targets of byGroup.values()) {
    expectEqualShapes(targets)
    const made = targets.map(({ path, layer, shape }) => {
      const [first] = targets
      const adapter = new LoraLayer(layer, shape, layers.get(first.path)?.a)
      layers.set(path, adapter)
      return { path, layer: adapter, host: layer }
    })
    initializeLayers(made, init, { generator, iterations, original })
  }
  return {
    placements: places.map(({ path, layer }) => ({ path, host: layer, adapter: layers.get(path) as LoraLayer })),
    trained: [],
    // Of the embeddings, A is the matrix that starts at zero, and LoRA+ leaves both alone.
    learningRateScale: (path) =>
      /\.adapters\.[^.]+\.b$/.test(path) && !path.startsWith(`${EMBEDDING_PATH}.`) ? loraPlusRatio : 1,
  }
}
