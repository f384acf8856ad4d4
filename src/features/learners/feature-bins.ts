// Columns of features in at most 255 quantile bins, so that trees build histograms instead of sorting values.
import { createRandom } from '../../core/index.ts'

/** Sampled values per column for the borders. */
const sampledRows = 100_000

export interface BinnedFeatures {
  rows: number
  columns: number
  maxBins: number
  /** Column after column: the bin of each value. */
  bins: Uint8Array
  /** Ascending borders of each column: a value is in the first bin whose border it does not exceed, or in the one after the last. */
  borders: Float32Array[]
}

/** Row-major values -> column-major bins. */
export const binFeatures = (
  values: Float32Array,
  { columns, maxBins, seed }: { columns: number; maxBins: number; seed: number },
): BinnedFeatures => {
  const rows = values.length / columns
  const bins = new Uint8Array(values.length)
  const borders: Float32Array[] = []
  const random = createRandom(`${seed}/bins`)
  const chosen = Array.from({ length: Math.min(rows, sampledRows) }, (_, i) =>
    rows <= sampledRows ? i : random.integer(rows),
  )
  const sample = new Float32Array(chosen.length)
  for (let column = 0; column < columns; column++) {
    for (let i = 0; i < sample.length; i++) sample[i] = values[chosen[i] * columns + column]
    sample.sort()
    const own = bordersOf(sample, maxBins)
    borders.push(own)
    const from = column * rows
    for (let row = 0; row < rows; row++) bins[from + row] = binOf(values[row * columns + column], own)
  }
  return { rows, columns, maxBins, bins, borders }
}

const bordersOf = (sorted: Float32Array, maxBins: number): Float32Array => {
  const distinct: number[] = []
  for (const value of sorted) if (value !== distinct.at(-1)) distinct.push(value)
  const found: number[] = []
  const put = (below: number, above: number) => {
    const middle = Math.fround(below + (above - below) / 2)
    const border = middle < above ? middle : below
    if (border !== found.at(-1)) found.push(border)
  }
  if (distinct.length <= maxBins) for (let i = 1; i < distinct.length; i++) put(distinct[i - 1], distinct[i])
  else
    for (let bin = 1; bin < maxBins; bin++) {
      const at = Math.floor((bin * sorted.length) / maxBins)
      // Equal values are in one bin.
      let next = at
      while (next < sorted.length && sorted[next] === sorted[at - 1]) next++
      if (next < sorted.length) put(sorted[next - 1], sorted[next])
    }
  return Float32Array.from(found)
}

const binOf = (value: number, borders: Float32Array): number => {
  let [low, high] = [0, borders.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (value > borders[middle]) low = middle + 1
    else high = middle
  }
  return low
}
