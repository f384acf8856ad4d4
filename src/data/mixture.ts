// Several samplers as one, in given proportions and with limits on how often each may be seen. The part and row at any
// position are computed, not remembered.
import { z } from 'zod'
import { ConfigError, parseConfig, permutedIndex } from '../core/index.ts'
import { checkIndex, rowAt, type Sampler } from './sampler.ts'

export const mixturePartSchema = z.strictObject({
  weight: z.number().positive().describe('share of the rows, relative to the other parts'),
  maxEpochs: z.number().positive().optional().describe('times that the part may be seen in all, such as 4 or 0.5'),
  maxRows: z.number().int().positive().optional().describe('rows of the part that may be seen in all'),
})

export interface MixturePart extends z.input<typeof mixturePartSchema> {
  sampler: Sampler
}

export const mixtureSchema = z.strictObject({
  seed: z.union([z.number().int(), z.string()]).default(0).describe('another seed gives another order of the parts'),
  rows: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('rows in all; as many as the limits of the parts allow unless given'),
})

/** Rows `from` on: `blocks` blocks, in each of which part `p` has `counts[p]` rows; `seen[p]` of it came before. */
interface Stretch {
  from: number
  blocks: number
  blockSize: number
  counts: number[]
  seen: number[]
}

// Proportions are exact to one in this many, and hold in every block.
const BLOCK = 4096

/**
 * Mixes the parts: in every block each has its share of rows, shuffled. A part that reaches its limit leaves its share to the
 * others. The mixture ends when all have; without a limit for every part, `rows` ends it, or nothing does.
 */
export const mixture = (parts: readonly MixturePart[], input: z.input<typeof mixtureSchema> = {}): Sampler => {
  const { seed, rows } = parseConfig(mixtureSchema, input, 'mixture')
  if (parts.length === 0) throw new ConfigError('Expected at least one part for `mixture`, got none. Name a corpus.')
  const weights: number[] = []
  const limits = parts.map(({ sampler, ...given }, index) => {
    const { weight, maxEpochs, maxRows } = parseConfig(mixturePartSchema, given, `mixture[${index}]`)
    weights.push(weight)
    const byEpochs =
      maxEpochs === undefined ? Number.POSITIVE_INFINITY : Math.floor(maxEpochs * sampler.rowsPerEpoch + 1e-9)
    return Math.min(byEpochs, maxRows ?? Number.POSITIVE_INFINITY)
  })
  const stretches = plan(weights, limits)
  const last = stretches[stretches.length - 1]
  const available = last === undefined ? 0 : last.from + last.blocks * last.blockSize
  if (available < (rows ?? 1)) {
    throw new ConfigError(
      `Expected limits that allow ${rows ?? 1} rows for \`mixture\`, got ${available}. Raise maxEpochs or maxRows, or ask for fewer.`,
    )
  }
  const total = rows ?? available
  let perEpoch: number[] | undefined
  return {
    rowsPerEpoch: total,
    maxLength: Math.max(...parts.map(({ sampler }) => sampler.maxLength)),
    row(epoch, index) {
      checkIndex(epoch, index, total)
      const { part, row } = find(stretches, index, seed)
      // A second epoch of a mixture goes through its parts in the same way, further on in each.
      if (epoch > 0) perEpoch ??= parts.map((_, other) => usedBefore(stretches, total, other))
      const position = perEpoch === undefined ? row : epoch * perEpoch[part] + row
      return { ...rowAt(parts[part].sampler, position), part }
    },
  }
}

const plan = (weights: readonly number[], limits: readonly number[]): Stretch[] => {
  const seen = weights.map(() => 0)
  const stretches: Stretch[] = []
  let from = 0
  for (;;) {
    const open = weights.map((weight, part) => (seen[part] < limits[part] ? weight : 0))
    if (open.every((weight) => weight === 0)) return stretches
    const counts = apportion(open, BLOCK)
    const left = (part: number) =>
      counts[part] === 0 ? Number.POSITIVE_INFINITY : (limits[part] - seen[part]) / counts[part]
    const scarcest = counts.reduce((best, _, part) => (left(part) < left(best) ? part : best), 0)
    const add = (blocks: number, blockCounts: number[]) => {
      const blockSize = blockCounts.reduce((sum, count) => sum + count, 0)
      if (blocks === 0 || blockSize === 0) return
      stretches.push({ from, blocks, blockSize, counts: blockCounts, seen: [...seen] })
      from += blocks * blockSize
      for (let part = 0; part < seen.length; part++) seen[part] += blocks * blockCounts[part]
    }
    const blocks = Math.floor(left(scarcest))
    add(blocks, counts)
    if (blocks === Number.POSITIVE_INFINITY) return stretches
    // The scarcest part's last rows, in a smaller block of the same proportions.
    const rest = limits[scarcest] - seen[scarcest]
    const scale = rest / counts[scarcest]
    add(
      1,
      counts.map((count, part) =>
        part === scarcest ? rest : Math.min(Math.floor(count * scale), limits[part] - seen[part]),
      ),
    )
  }
}

/** `size` rows by weight, by largest remainder; every part with a weight gets one at least. */
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

const find = (stretches: readonly Stretch[], index: number, seed: number | string): { part: number; row: number } => {
  let at = 0
  while (at + 1 < stretches.length && stretches[at + 1].from <= index) at++
  const stretch = stretches[at]
  const block = Math.floor((index - stretch.from) / stretch.blockSize)
  let slot = permutedIndex(`${seed}/${at}/${block}`, stretch.blockSize, (index - stretch.from) % stretch.blockSize)
  let part = 0
  while (slot >= stretch.counts[part]) slot -= stretch.counts[part++]
  return {
    part,
    row: stretch.seen[part] + block * stretch.counts[part] + slot,
  }
}

/** Rows of `part` in the blocks that the first `total` rows touch. */
const usedBefore = (stretches: readonly Stretch[], total: number, part: number): number => {
  let used = 0
  for (const stretch of stretches) {
    const inside = Math.min(total - stretch.from, stretch.blocks * stretch.blockSize)
    if (inside > 0) used += Math.ceil(inside / stretch.blockSize) * stretch.counts[part]
  }
  return used
}
