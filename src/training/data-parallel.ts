// Data parallelism: each process computes some rows of the global batch, and gradients are summed over all. As every loss term is
// divided by its weight over the whole batch, the sums are the gradients of one process. Their norms by layer are recorded on request. Independent of the loop.
import { ConfigError } from '../core/index.ts'
import type { ProcessGroup } from '../distributed/index.ts'
import { joinMetrics } from '../objectives/index.ts'
import { type Optimizer, ShardedOptimizer, type StepOptions, type StepResult } from '../optim/index.ts'
import { gradNorm, noGradScope, stack, type Tensor } from '../tensor/index.ts'
import type { ExchangedGradients, GradientExchange } from './gradient-exchange.ts'
import { type BatchGradients, metricsOf } from './gradients.ts'

/**
 * The rows of a batch that each process computes, ascending: the longest first, each to the process with the fewest tokens so far.
 * A function of the batch alone, so that every process finds the same.
 */
export const assignRows = (tokens: readonly number[], size: number): number[][] => {
  const longestFirst = [...tokens.keys()].sort((a, b) => tokens[b] - tokens[a] || a - b)
  const shares = Array.from({ length: size }, () => ({ rows: [] as number[], tokens: 0 }))
  for (const row of longestFirst) {
    const least = shares.reduce((best, share) => (share.tokens < best.tokens ? share : best))
    least.rows.push(row)
    least.tokens += tokens[row]
  }
  return shares.map(({ rows }) => rows.sort((a, b) => a - b))
}

/** Facts that a process adds to the gradients of a step. */
export interface StepReport {
  /** Whether it was told to stop. */
  stop: boolean
  /** Seconds of training; those of the first process count. */
  seconds: number
  /** Norm of the gradients of the step before, which are the same everywhere. */
  gradientNorm: number
}

interface FullReport extends StepReport, Pick<BatchGradients, 'loss' | 'terms' | 'measured' | 'microBatches'> {
  /** Numbers of the parameters without a gradient, and of those whose gradient came in two parts. */
  missing: number[]
  late: number[]
}

/** Gradients of the whole batch, or the part of them that this process has, with what all processes measured. */
export type ReducedGradients = BatchGradients & ExchangedGradients

/** The gradients of the whole batch, and what the processes agreed on. */
export const reduceGradients = async (
  group: ProcessGroup,
  exchange: GradientExchange,
  own: BatchGradients,
  report: StepReport,
): Promise<{ result: ReducedGradients; stop: boolean; seconds: number }> => {
  const { loss, terms, measured, microBatches } = own
  const all = await group.gather<FullReport>({ ...report, loss, terms, measured, microBatches, ...exchange.report() })
  expectSameNorm(group, all)
  const late = [...new Set(all.flatMap((one) => one.late))].sort((a, b) => a - b)
  const summed = await exchange.collect(
    all.map(({ missing }) => new Set(missing)),
    late,
  )
  own.release()
  const together = addMeasured(all.map((one) => one.measured))
  const result: ReducedGradients = {
    loss: all.reduce((sum, one) => sum + one.loss, 0),
    terms: sumByName(all.map((one) => one.terms)),
    measured: together,
    metrics: metricsOf(together),
    ...summed,
    microBatches: all.reduce((sum, one) => sum + one.microBatches, 0),
  }
  return { result, stop: all.some(({ stop }) => stop), seconds: all[0].seconds }
}

/** An optimizer step, which processes that have a part of the optimizer take together. */
export const takeStep = async (
  optimizer: Optimizer,
  group: ProcessGroup | undefined,
  { gradients, shared }: ReducedGradients,
  options: StepOptions,
): Promise<StepResult> => {
  if (!(optimizer instanceof ShardedOptimizer) || group === undefined || shared === undefined)
    return optimizer.step(gradients, options)
  const { gradientNorm, present } = shared
  return optimizer.stepTogether(group, { gradients, present }, { ...options, gradientNorm })
}

const sumByName = (records: readonly Record<string, number>[]): Record<string, number> => {
  const sums: Record<string, number> = {}
  for (const record of records)
    for (const [name, value] of Object.entries(record)) sums[name] = (sums[name] ?? 0) + value
  return sums
}

const addMeasured = (all: readonly BatchGradients['measured'][]): BatchGradients['measured'] => {
  const sums: BatchGradients['measured'] = {}
  for (const one of all) for (const [name, metric] of Object.entries(one)) sums[name] = joinMetrics(sums[name], metric)
  return sums
}

/** Weights that differ between processes would never be noticed otherwise. */
const expectSameNorm = ({ members }: ProcessGroup, all: readonly StepReport[]): void => {
  const other = all.findIndex(({ gradientNorm }) => !Object.is(gradientNorm, all[0].gradientNorm))
  if (other < 0) return
  throw new ConfigError(
    `Expected the same gradient norm on every process, got ${all[0].gradientNorm} on ${members[0]} and ${all[other].gradientNorm} on ${members[other]}. Use machines with the same kind of CPU.`,
  )
}

/** The layer of a parameter: `body.layers.3`, or the first two parts of a path outside the layers, such as `body.embedTokens`. */
export const layerOfPath = (path: string): string =>
  /^(?:.*?\.)?layers\.\d+(?=\.)/.exec(path)?.[0] ?? path.split('.').slice(0, 2).join('.')

/** Norms of some gradients by layer, in the order of the parameters. */
const ownNorms = (gradients: ReadonlyMap<string, Tensor>): Record<string, number> => {
  const layers = new Map<string, Tensor[]>()
  for (const [path, gradient] of gradients) {
    const layer = layerOfPath(path)
    const known = layers.get(layer)
    if (known === undefined) layers.set(layer, [gradient])
    else known.push(gradient)
  }
  if (layers.size === 0) return {}
  // One reading for all layers, as each waits for the device.
  const norms = noGradScope(() => stack([...layers.values()].map((gradients) => gradNorm(gradients))).toFloat32Array())
  return Object.fromEntries([...layers.keys()].map((layer, i) => [layer, norms[i]]))
}

/**
 * Global norm of the gradients of each layer, before clipping. All processes of a group call it.
 * @param reduced gradients of the whole batch, or the part of them that this process has
 * @param paths of all parameters, whose order layers have
 */
export const layerNorms = async (
  { gradients, shared }: ReducedGradients,
  paths: Iterable<string>,
  group?: ProcessGroup,
): Promise<Record<string, number>> => {
  const own = ownNorms(gradients)
  // With a known global norm, each process has a part of the elements.
  if (group === undefined || shared === undefined) return own
  const squares: Record<string, number> = {}
  for (const part of await group.gather(own))
    for (const [layer, norm] of Object.entries(part)) squares[layer] = (squares[layer] ?? 0) + norm ** 2
  // A process may have no part of a layer.
  const layers = [...new Set([...paths].map(layerOfPath))].filter((layer) => squares[layer] !== undefined)
  return Object.fromEntries(layers.map((layer) => [layer, Math.sqrt(squares[layer])]))
}
