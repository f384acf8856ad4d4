// Mixes several samplers in given proportions, with limits on how often each is used. The part and row at any position
// are computed from the position, without state.
import { z } from 'zod'
import { ConfigError, parseConfig, permutedIndex } from '../core/index.ts'
import { checkIndex, placeAt, rowAt, type Sampler } from './sampler.ts'

/** Schema of the settings of one part of a mixture. */
export const mixturePartSchema = z.strictObject({
  weight: z.number().positive().describe('relative share of the rows'),
  maxEpochs: z
    .number()
    .positive()
    .optional()
    .describe('maximum number of epochs over the part in total, such as 4 or 0.5'),
  maxRows: z.number().int().positive().optional().describe('maximum number of rows of the part in total'),
})

/** One part of a mixture: a sampler and its share. */
export interface MixturePart extends z.input<typeof mixturePartSchema> {
  sampler: Sampler
}

/** Schema of the options of `mixture`. */
export const mixtureSchema = z.strictObject({
  seed: z.union([z.number().int(), z.string()]).default(0).describe('random seed of the order of parts'),
  rows: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('number of rows (default: as many as the limits of the parts allow)'),
})

/** Rows from `from`: `blocks` blocks with `counts[p]` rows of part `p` in each; `seen[p]` rows of it came before. */
interface Phase {
  from: number
  blocks: number
  blockSize: number
  counts: number[]
  seen: number[]
}

/** Rows of a block at most. Proportions hold in every block, to a precision of one row. */
const maxBlock = 4096

/** What the order of a mixture depends on of a part. */
export interface PartSize extends z.input<typeof mixturePartSchema> {
  rowsPerEpoch: number
}

/** The order of a mixture: which row of which part is at each position. */
export interface MixtureOrder {
  /** Number of rows that the limits of the parts allow; Infinity if a part has no limit. */
  readonly available: number
  /** The part at a position, and how many of its rows came before. Defined below `available`. */
  at(position: number): { part: number; row: number }
  /** Number of rows of a part in the blocks of the first `total` rows. */
  usedBefore(total: number, part: number): number
}

/**
 * The order of a mixture: every block holds each part's share of rows, shuffled. A part that reaches its limit leaves its share to the
 * others. A pure function of the position.
 * @param block rows in which the proportions hold, at most 4096
 */
export const mixtureOrder = (
  parts: readonly PartSize[],
  { seed, block = maxBlock }: { seed: number | string; block?: number },
): MixtureOrder => {
  const weights: number[] = []
  const limits = parts.map(({ rowsPerEpoch, ...given }, index) => {
    const { weight, maxEpochs, maxRows } = parseConfig(mixturePartSchema, given, `mixture[${index}]`)
    weights.push(weight)
    const byEpochs = maxEpochs === undefined ? Number.POSITIVE_INFINITY : Math.floor(maxEpochs * rowsPerEpoch + 1e-9)
    return Math.min(byEpochs, maxRows ?? Number.POSITIVE_INFINITY)
  })
  const phases = planPhases(weights, limits, Math.min(block, maxBlock))
  const last = phases[phases.length - 1]
  return {
    available: last === undefined ? 0 : last.from + last.blocks * last.blockSize,
    at: (position) => findRow(phases, position, seed),
    usedBefore: (total, part) => usedBefore(phases, total, part),
  }
}

/**
 * Mixes samplers: every block holds each part's share of rows, shuffled. A part that reaches its limit leaves its share
 * to the others, and the mixture ends when all parts have. If a part has no limit, the mixture ends after `rows` rows,
 * or never. Throws ConfigError if the limits allow fewer than `rows` rows.
 */
export const mixture = (parts: readonly MixturePart[], input: z.input<typeof mixtureSchema> = {}): Sampler => {
  const { seed, rows } = parseConfig(mixtureSchema, input, 'mixture')
  if (parts.length === 0) throw new ConfigError('`mixture` needs at least one part: add a corpus.')
  const sizes = parts.map(({ sampler, ...given }) => ({ ...given, rowsPerEpoch: sampler.rowsPerEpoch }))
  const order = mixtureOrder(sizes, { seed })
  const { available } = order
  if (available < (rows ?? 1)) {
    throw new ConfigError(
      `Expected limits that allow ${rows ?? 1} rows for \`mixture\`, got ${available}. Raise \`maxEpochs\` or \`maxRows\`, or reduce \`rows\`.`,
    )
  }
  const total = rows ?? available
  let perEpoch: number[] | undefined
  const find = (epoch: number, index: number): { part: number; position: number } => {
    checkIndex(epoch, index, total)
    const { part, row } = order.at(index)
    // Later epochs have the same order of parts, and continue in each part where the epoch before ended.
    if (epoch > 0) perEpoch ??= parts.map((_, other) => order.usedBefore(total, other))
    return { part, position: perEpoch === undefined ? row : epoch * perEpoch[part] + row }
  }
  return {
    rowsPerEpoch: total,
    maxLength: Math.max(...parts.map(({ sampler }) => sampler.maxLength)),
    row(epoch, index) {
      const { part, position } = find(epoch, index)
      return { ...rowAt(parts[part].sampler, position), part }
    },
    place(epoch, index) {
      const { part, position } = find(epoch, index)
      return placeAt(parts[part].sampler, position)
    },
  }
}

const planPhases = (weights: readonly number[], limits: readonly number[], block: number): Phase[] => {
  const seen = weights.map(() => 0)
  const phases: Phase[] = []
  let from = 0
  for (;;) {
    const open = weights.map((weight, part) => (seen[part] < limits[part] ? weight : 0))
    if (open.every((weight) => weight === 0)) return phases
    const counts = apportion(open, block)
    const left = (part: number) =>
      counts[part] === 0 ? Number.POSITIVE_INFINITY : (limits[part] - seen[part]) / counts[part]
    const limiting = counts.reduce((best, _, part) => (left(part) < left(best) ? part : best), 0)
    const add = (blocks: number, blockCounts: number[]) => {
      const blockSize = blockCounts.reduce((sum, count) => sum + count, 0)
      if (blocks === 0 || blockSize === 0) return
      phases.push({ from, blocks, blockSize, counts: blockCounts, seen: [...seen] })
      from += blocks * blockSize
      for (let part = 0; part < seen.length; part++) seen[part] += blocks * blockCounts[part]
    }
    const blocks = Math.floor(left(limiting))
    add(blocks, counts)
    if (blocks === Number.POSITIVE_INFINITY) return phases
    // The last rows of the part that reaches its limit, in a smaller block of the same proportions.
    const rest = limits[limiting] - seen[limiting]
    const scale = rest / counts[limiting]
    add(
      1,
      counts.map((count, part) =>
        part === limiting ? rest : Math.min(Math.floor(count * scale), limits[part] - seen[part]),
      ),
    )
  }
}

/** Distributes `size` rows by weight (largest remainder); every part with a weight gets at least one. */
const apportion = (weights: readonly number[], size: number): number[] => {
  const sum = weights.reduce((total, weight) => total + weight, 0)
  const exact = weights.map((weight) => (weight / sum) * size)
  const counts = exact.map((value) => (value === 0 ? 0 : Math.max(1, Math.floor(value))))
  const order = exact.map((_, part) => part).sort((a, b) => (exact[b] % 1) - (exact[a] % 1) || a - b)
  let missing = size - counts.reduce((total, count) => total + count, 0)
  for (let i = 0; missing > 0; i = (i + 1) % order.length) {
    if (weights[order[i]] === 0) continue
    counts[order[i]]++
    missing--
  }
  return counts
}

const findRow = (phases: readonly Phase[], index: number, seed: number | string): { part: number; row: number } => {
  let at = 0
  while (at + 1 < phases.length && phases[at + 1].from <= index) at++
  const phase = phases[at]
  const block = Math.floor((index - phase.from) / phase.blockSize)
  let slot = permutedIndex(`${seed}/${at}/${block}`, phase.blockSize, (index - phase.from) % phase.blockSize)
  let part = 0
  while (slot >= phase.counts[part]) slot -= phase.counts[part++]
  return {
    part,
    row: phase.seen[part] + block * phase.counts[part] + slot,
  }
}

/** Number of rows of `part` in the blocks of the first `total` rows. */
const usedBefore = (phases: readonly Phase[], total: number, part: number): number => {
  let used = 0
  for (const phase of phases) {
    const inside = Math.min(total - phase.from, phase.blocks * phase.blockSize)
    if (inside > 0) used += Math.ceil(inside / phase.blockSize) * phase.counts[part]
  }
  return used
}
