// Quantisers with an importance matrix: errors in columns with larger inputs count more. Each has the arithmetic of ggml in
// float32, so that blocks have the same bytes. Groups of all zeros keep the levels that ggml's search leaves.
// @source https://github.com/ggml-org/ggml, ggml-quants (weights of the errors, search of scales, order of operations)
import { toHalf } from './float16.ts'
import { packLevels, putHalf } from './quantize.ts'
import { putIq4Nl, putIq4Xs } from './quantize-codebook.ts'
import {
  epsilon,
  levelOf,
  nearest,
  putQ6K,
  putRanged,
  type Search,
  searchRange,
  searchSymmetric,
  symmetricGroups,
} from './quantize-k.ts'
import { putQ2K, putQ3K } from './quantize-low-bits.ts'

const f = Math.fround

/** Writes the blocks of rows. @param importance a positive number for each column: mean square of its inputs */
export type WeightedQuantize = (values: Float32Array, out: Uint8Array, importance: Float32Array) => void

/** Sum of the squares of values. */
const sumOfSquares = (x: Float32Array, from: number, size: number): number => {
  let total = 0
  for (let i = 0; i < size; i++) total = f(total + f(x[from + i] * x[from + i]))
  return total
}

/** Weights of the errors of a group: importance of the column times a smoothed magnitude. @param column of the first value */
const weightsOf = (
  x: Float32Array,
  from: number,
  size: number,
  importance: Float32Array,
  column: number,
  variance: number,
): Float32Array => {
  const weights = new Float32Array(size)
  for (let i = 0; i < size; i++)
    weights[i] = importance[column + i] * f(Math.sqrt(f(variance + f(x[from + i] * x[from + i]))))
  return weights
}

const sum = (values: Float32Array): number => values.reduce((total, value) => f(total + value), 0)

/**
 * Scale of positive numbers with levels from 0 to `top`, which improves one level at a time.
 * @returns the scale; the levels are left in `levels`
 */
const searchPositive = (x: Float32Array, top: number, levels: Uint8Array, weights: Float32Array): number => {
  const most = x.reduce((best, value) => Math.max(best, value), 0)
  if (most < epsilon) {
    levels.fill(0)
    return 0
  }
  const errorOf = (factor: number, limit: (level: number) => number): number => {
    const scale = f(1 / factor)
    let error = 0
    for (let i = 0; i < x.length; i++) {
      const difference = f(x[i] - f(scale * limit(nearest(f(factor * x[i])))))
      error = f(error + f(f(weights[i] * difference) * difference))
    }
    return error
  }
  let factor = f(top / most)
  let best = errorOf(factor, (level) => level & 255)
  for (let step = -4; step <= 4; step++) {
    if (step === 0) continue
    const tried = f(f(f(f(0.1) * step) + top) / most)
    const error = errorOf(tried, (level) => Math.min(top, level))
    if (error >= best) continue
    best = error
    factor = tried
  }
  let [products, squares] = [0, 0]
  for (let i = 0; i < x.length; i++) {
    const level = Math.min(top, nearest(f(factor * x[i])))
    levels[i] = level
    products = f(products + f(f(weights[i] * x[i]) * level))
    squares = f(squares + f(f(weights[i] * level) * level))
  }
  for (let round = 0, changed = 1; round < 5 && changed > 0; round++) {
    changed = 0
    for (let i = 0; i < x.length; i++) {
      let without = f(products - f(f(weights[i] * x[i]) * levels[i]))
      let rest = f(squares - f(f(weights[i] * levels[i]) * levels[i]))
      if (!(without > 0 && rest > 0)) continue
      const level = Math.min(top, nearest(f(f(x[i] * rest) / without)))
      if (level === levels[i]) continue
      without = f(without + f(f(weights[i] * x[i]) * level))
      rest = f(rest + f(f(weights[i] * level) * level))
      if (!(f(f(without * without) * squares) > f(f(products * products) * rest))) continue
      levels[i] = level
      products = without
      squares = rest
      changed++
    }
  }
  return squares > 0 ? f(products / squares) : 0
}

/** Scales and minima of all groups of a block, with levels of their own. */
const searchBlock = (
  values: Float32Array,
  from: number,
  levels: Uint8Array,
  search: Search,
  weightsAt: (first: number) => Float32Array,
  top: number,
): { scales: Uint8Array; minima: Uint8Array; halves: [number, number] } => {
  const count = 256 / search.size
  const totals = new Float32Array(count)
  const found = Array.from({ length: count }, (_, group) => {
    const first = from + search.size * group
    const weights = weightsAt(first)
    totals[group] = sum(weights)
    return searchRange(values, first, levels, search, weights)
  })
  const [scales, minima] = [new Uint8Array(count), new Uint8Array(count)]
  const of = (which: 0 | 1) => Float32Array.from(found, (pair) => pair[which])
  const scale = searchPositive(of(0), top, scales, totals)
  const minimum = searchPositive(of(1), top, minima, totals)
  return { scales, minima, halves: [toHalf(scale), toHalf(minimum)] }
}

const wide = { start: -0.9, steps: 36, delta: 0.05 }

/** Calls `write` for each block of `size` values with its place in its row. */
const eachBlock = (
  values: Float32Array,
  importance: Float32Array,
  size: number,
  write: (from: number, column: number, block: number) => void,
): void => {
  for (let from = 0, block = 0; from < values.length; from += size, block++)
    write(from, from % importance.length, block)
}

export const weightedQ2K: WeightedQuantize = (values, out, importance) => {
  const levels = new Uint8Array(256)
  const search = { ...wide, size: 16, top: 3 }
  eachBlock(values, importance, 256, (from, column, block) => {
    const variance = f(sumOfSquares(values, from, 256) / 256)
    const weights = (first: number) => weightsOf(values, first, 16, importance, column + first - from, variance)
    const { scales, minima, halves } = searchBlock(values, from, levels, search, weights, 15)
    const packed = Array.from(scales, (scale, group) => (scale | (minima[group] << 4)) & 255)
    putQ2K(values, from, { packed, halves }, levels, out, 84 * block)
  })
}

export const weightedQ3K: WeightedQuantize = (values, out, importance) => {
  const levels = new Uint8Array(256)
  eachBlock(values, importance, 256, (from, column, block) => {
    const variance = f(f(2 * sumOfSquares(values, from, 256)) / 256)
    const totals = new Float32Array(16)
    const found = symmetricGroups(values, from, 4, (_, first, size) => {
      const weights = weightsOf(values, first, size, importance, column + first - from, variance)
      totals[(first - from) / 16] = sum(weights)
      return weights
    })
    for (let i = 0; i < 256; i++) {
      const { factor } = found[i >> 4]
      levels[i] = factor === 0 ? 0 : 4 + levelOf(values[from + i], factor, 4)
    }
    const own = Float32Array.from(found, ({ scale }) => scale)
    const { scale, factor } = searchSymmetric(own, 0, 32, totals)
    const scales = Array.from(own, (one) => (factor === 0 ? -32 : levelOf(one, factor, 32)))
    putQ3K(values, from, { scales, half: toHalf(scale) }, levels, out, 110 * block)
  })
}

const ranged =
  (top: number, bytes: number): WeightedQuantize =>
  (values, out, importance) => {
    const levels = new Uint8Array(256)
    const search = { ...wide, size: 32, top }
    eachBlock(values, importance, 256, (from, column, block) => {
      const variance = f(f(2 * sumOfSquares(values, from, 256)) / 256)
      const weights = (first: number) => weightsOf(values, first, 32, importance, column + first - from, variance)
      const found = searchBlock(values, from, levels, search, weights, 63)
      putRanged(values, from, found, levels, top, out, bytes * block)
    })
  }

export const weightedQ4K = ranged(15, 144)
export const weightedQ5K = ranged(31, 176)

export const weightedQ6K: WeightedQuantize = (values, out, importance) =>
  eachBlock(values, importance, 256, (from, column, block) => {
    const found = symmetricGroups(values, from, 32, (_, first, size) =>
      importance.subarray(column + first - from, column + first - from + size),
    )
    putQ6K(values, from, found, out, 210 * block)
  })

/** Mean square of the row of each block of 32. */
const rowVariances = (values: Float32Array, width: number): Float32Array =>
  Float32Array.from({ length: values.length / width }, (_, row) => f(sumOfSquares(values, row * width, width) / width))

const symmetric =
  (bits: 4 | 5): WeightedQuantize =>
  (values, out, importance) => {
    const half = 2 ** (bits - 1)
    const bytes = bits === 4 ? 18 : 22
    const variances = rowVariances(values, importance.length)
    eachBlock(values, importance, 32, (from, column, block) => {
      const variance = variances[Math.floor(from / importance.length)]
      const weights = weightsOf(values, from, 32, importance, column, variance)
      const { scale, factor } = searchSymmetric(values, from, half, weights)
      putHalf(out, bytes * block, toHalf(scale))
      const level = (i: number) => (factor === 0 ? 0 : half + levelOf(values[from + i], factor, half))
      packLevels(level, out, bytes * block + 2, bits)
    })
  }

const withMinimum =
  (bits: 4 | 5): WeightedQuantize =>
  (values, out, importance) => {
    const search = { ...wide, size: 32, top: 2 ** bits - 1 }
    const bytes = bits === 4 ? 20 : 24
    const levels = new Uint8Array(256)
    const variances = rowVariances(values, importance.length)
    eachBlock(values, importance, 32, (from, column, block) => {
      const variance = variances[Math.floor(from / importance.length)]
      const weights = weightsOf(values, from, 32, importance, column, variance)
      const [scale, least] = searchRange(values, from, levels, search, weights)
      putHalf(out, bytes * block, toHalf(scale))
      putHalf(out, bytes * block + 2, toHalf(-least))
      packLevels((i) => levels[(from % 256) + i], out, bytes * block + 4, bits)
    })
  }

export const weightedQ40 = symmetric(4)
export const weightedQ50 = symmetric(5)
export const weightedQ41 = withMinimum(4)
export const weightedQ51 = withMinimum(5)

export const weightedIq4Nl: WeightedQuantize = (values, out, importance) =>
  eachBlock(values, importance, 32, (from, column, block) => {
    const variance = f(sumOfSquares(values, from, 32) * f(2 / 32))
    putIq4Nl(values, from, weightsOf(values, from, 32, importance, column, variance), out, 18 * block)
  })

export const weightedIq4Xs: WeightedQuantize = (values, out, importance) =>
  eachBlock(values, importance, 256, (from, column, block) => {
    const variance = f(sumOfSquares(values, from, 256) * f(2 / 256))
    const weights = (_: Float32Array, first: number) =>
      weightsOf(values, first, 32, importance, column + first - from, variance)
    putIq4Xs(values, from, weights, out, 136 * block)
  })
