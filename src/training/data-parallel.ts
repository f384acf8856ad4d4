// Data parallelism: each process computes some rows of the global batch, and gradients are summed over all. As every loss term is
// divided by its weight over the whole batch, the sums are the gradients of one process. Independent of the loop.
import { ConfigError } from '../core/index.ts'
import type { ProcessGroup } from '../distributed/index.ts'
import { cat, freeTensors, keepUntilFreed, noGrad, scope, type Tensor, zeros } from '../tensor/index.ts'
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

/** What a process says of its step besides gradients. */
export interface StepReport {
  /** Whether it was told to stop. */
  stop: boolean
  /** Seconds of training; those of the first process count. */
  seconds: number
  /** Norm of the gradients of the step before, which are the same everywhere. */
  gradientNorm: number
}

interface FullReport extends StepReport, Pick<BatchGradients, 'loss' | 'terms' | 'measured' | 'microBatches'> {
  /** Numbers of the parameters without a gradient. */
  missing: number[]
}

/** Bytes of gradients that are summed at once. */
const bucketBytes = 25 * 2 ** 20

/** The gradients of the whole batch on every process, and what the processes agreed on. Frees the gradients of this process. */
export const reduceGradients = async (
  group: ProcessGroup,
  parameters: ReadonlyMap<string, Tensor>,
  own: BatchGradients,
  report: StepReport,
): Promise<{ result: BatchGradients; stop: boolean; seconds: number }> => {
  const paths = [...parameters.keys()]
  const { loss, terms, measured, microBatches, gradients } = own
  const missing = paths.flatMap((path, i) => (gradients.has(path) ? [] : [i]))
  const all = await group.gather<FullReport>({ ...report, loss, terms, measured, microBatches, missing })
  expectSameNorm(group, all)
  const present = paths.filter((_, i) => all.some((one) => !one.missing.includes(i)))
  const buckets = fillBuckets(present, parameters, gradients)
  own.release()
  await group.sum_(buckets.map(({ flat }) => flat))
  const summed = new Map(noGrad(() => scope(() => buckets.flatMap(viewsOf))))
  const result: BatchGradients = {
    loss: all.reduce((sum, one) => sum + one.loss, 0),
    terms: sumByName(all.map((one) => one.terms)),
    measured: addMeasured(all.map((one) => one.measured)),
    metrics: {},
    // In the order of the parameters, in which norms are computed.
    gradients: new Map(present.map((path) => [path, summed.get(path) as Tensor])),
    microBatches: all.reduce((sum, one) => sum + one.microBatches, 0),
    release() {
      freeTensors([...summed.values(), ...buckets.map(({ flat }) => flat)])
    },
  }
  result.metrics = metricsOf(result.measured)
  return { result, stop: all.some(({ stop }) => stop), seconds: all[0].seconds }
}

interface Bucket {
  flat: Tensor
  parts: { path: string; shape: readonly number[]; size: number }[]
}

/** The gradients of this process in flat float32 tensors, the last layers first; zeros where it has none. */
const fillBuckets = (
  paths: readonly string[],
  parameters: ReadonlyMap<string, Tensor>,
  gradients: ReadonlyMap<string, Tensor>,
): Bucket[] => {
  const buckets: Bucket['parts'][] = []
  let room = 0
  for (const path of [...paths].reverse()) {
    const { shape, size } = parameters.get(path) as Tensor
    if (size * 4 > room) {
      buckets.push([])
      room = bucketBytes
    }
    buckets[buckets.length - 1].push({ path, shape, size })
    room -= size * 4
  }
  return noGrad(() =>
    scope(() =>
      buckets.map((parts) => {
        const flat = cat(
          parts.map(({ path, size }) => gradients.get(path)?.to('float32').reshape([-1]) ?? zeros([size])),
          0,
        )
        keepUntilFreed([flat])
        return { flat, parts }
      }),
    ),
  )
}

const viewsOf = ({ flat, parts }: Bucket): [string, Tensor][] => {
  let at = 0
  return parts.map(({ path, shape, size }) => {
    const view = flat.narrow(0, at, size).view(shape)
    at += size
    keepUntilFreed([view])
    return [path, view]
  })
}

const sumByName = (records: readonly Record<string, number>[]): Record<string, number> => {
  const sums: Record<string, number> = {}
  for (const record of records)
    for (const [name, value] of Object.entries(record)) sums[name] = (sums[name] ?? 0) + value
  return sums
}

const addMeasured = (all: readonly BatchGradients['measured'][]): BatchGradients['measured'] => {
  const sums: BatchGradients['measured'] = {}
  for (const one of all)
    for (const [name, { sum, weight }] of Object.entries(one)) {
      const before = sums[name] ?? { sum: 0, weight: 0 }
      sums[name] = { sum: before.sum + sum, weight: before.weight + weight }
    }
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
