// Data parallelism: each process computes some rows of the global batch, and gradients are summed over all. As every loss term is
// divided by its weight over the whole batch, the sums are the gradients of one process. Independent of the loop.
import { ConfigError } from '../core/index.ts'
import type { ProcessGroup } from '../distributed/index.ts'
import { isCount, type Optimizer, type OptimizerState, ShardedOptimizer } from '../optim/index.ts'
import { cat, freeTensors, keepUntilFreed, noGrad, scope, Tensor, zeros } from '../tensor/index.ts'
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
  /** Numbers of the parameters without a gradient. */
  missing: number[]
}

/** Bytes of gradients that are summed at once. */
const bucketBytes = 25 * 2 ** 20

/** The gradients of the whole batch on every process, and what the processes agreed on. Frees the gradients of this process. */
export const reduceGradients = async (
  group: ProcessGroup,
  { parameters, optimizer }: { parameters: ReadonlyMap<string, Tensor>; optimizer: Optimizer },
  own: BatchGradients,
  report: StepReport,
): Promise<{ result: ReducedGradients; stop: boolean; seconds: number }> => {
  const paths = [...parameters.keys()]
  const { loss, terms, measured, microBatches, gradients } = own
  const missing = paths.flatMap((path, i) => (gradients.has(path) ? [] : [i]))
  const all = await group.gather<FullReport>({ ...report, loss, terms, measured, microBatches, missing })
  expectSameNorm(group, all)
  const present = paths.filter((_, i) => all.some((one) => !one.missing.includes(i)))
  const summed =
    optimizer instanceof ShardedOptimizer
      ? await sumOwnPart(group, optimizer, own, new Set(present))
      : await sumEverywhere(group, parameters, own, present)
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

/** Gradients of the whole batch, or of a part of the parameters. */
export interface ReducedGradients extends BatchGradients {
  /** Global norm, where this process has a part of the gradients only. */
  gradientNorm?: number
}

type Summed = Pick<ReducedGradients, 'gradients' | 'gradientNorm' | 'release'>

/** A gradient as a float32 vector; zeros where this process has none. */
const flatGradient = (gradient: Tensor | undefined, size: number): Tensor =>
  gradient?.to('float32').reshape([-1]) ?? zeros([size])

/** All gradients on every process, in the order of the parameters, in which norms are computed. */
const sumEverywhere = async (
  group: ProcessGroup,
  parameters: ReadonlyMap<string, Tensor>,
  own: BatchGradients,
  present: readonly string[],
): Promise<Summed> => {
  const buckets = fillBuckets(present, parameters, own.gradients)
  own.release()
  await group.sum_(buckets.map(({ flat }) => flat))
  const summed = new Map(noGrad(() => scope(() => buckets.flatMap(viewsOf))))
  return {
    gradients: new Map(present.map((path) => [path, summed.get(path) as Tensor])),
    release: () => freeTensors([...summed.values(), ...buckets.map(({ flat }) => flat)]),
  }
}

/** The gradients of one part of the parameters on each process, and the norm of all. */
const sumOwnPart = async (
  group: ProcessGroup,
  { layout, pieces, place, parameters }: ShardedOptimizer,
  own: BatchGradients,
  present: ReadonlySet<string>,
): Promise<Summed> => {
  const { partSize } = layout
  const flat = noGrad(() =>
    scope(() => {
      const parts = [...parameters].map(([path, { size }]) => flatGradient(own.gradients.get(path), size))
      const used = parts.reduce((sum, { size }) => sum + size, 0)
      const all = cat([...parts, zeros([partSize * place.count - used])], 0)
      keepUntilFreed([all])
      return all
    }),
  )
  own.release()
  const part = await group.sumParts(flat)
  flat.free()
  keepUntilFreed([part])
  const gradients = new Map(
    noGrad(() =>
      scope(() =>
        pieces
          .filter(({ path }) => present.has(path))
          .map(({ path, at, size }) => {
            const view = part.narrow(0, at, size)
            keepUntilFreed([view])
            return [path, view] as const
          }),
      ),
    ),
  )
  const squares = await group.gather(scope(() => part.norm().item()) ** 2)
  const gradientNorm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0))
  return { gradients, gradientNorm, release: () => freeTensors([...gradients.values(), part]) }
}

/** Brings the weights that each process has updated to all. */
export const collectWeights = async (group: ProcessGroup, optimizer: ShardedOptimizer): Promise<void> => {
  const own = optimizer.ownWeights()
  const all = await group.collect(own)
  optimizer.writeWeights(all)
  freeTensors([own, all])
}

/** The state of an optimizer of which each process has a part, whole on the first process; the others get none. */
export const collectState = async (
  group: ProcessGroup,
  optimizer: ShardedOptimizer,
): Promise<OptimizerState | undefined> => {
  const { tensors, step } = optimizer.state()
  const whole = new Map<string, Tensor>()
  for (const slot of optimizer.slotNames) {
    const own = optimizer.flatten(({ path }) => tensors.get(`${path}/${slot}`) as Tensor)
    const all = await group.collect(own)
    own.free()
    if (!group.first) all.free()
    else
      for (const [path, offset] of optimizer.layout.offsets()) {
        const { size, shape } = optimizer.parameters.get(path) as Tensor
        whole.set(
          `${path}/${slot}`,
          noGrad(() => all.narrow(0, offset, size).view(shape)),
        )
      }
  }
  const counts = [...tensors].flatMap(([key, tensor]) => (isCount(key) ? [[key, tensor.item()] as const] : []))
  for (const [key, count] of (await group.gather(counts)).flat())
    whole.set(key, Tensor.from(BigInt64Array.of(BigInt(count)), { shape: [] }))
  return group.first ? { tensors: whole, step } : undefined
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
          parts.map(({ path, size }) => flatGradient(gradients.get(path), size)),
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
