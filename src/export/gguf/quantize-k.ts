// Quantisers of blocks of 256 values with a scale for each group (Q4_K, Q5_K, Q6_K): scales are searched for the least
// weighted error. Arithmetic is that of ggml in float32, so that blocks have the same bytes.
// @source https://github.com/ggml-org/ggml, ggml-quants (search of scales, order of operations)
import { fromHalf, toHalf } from './float16.ts'
import { putHalf, type Quantize } from './quantize.ts'

const f = Math.fround
/** Groups with smaller values are zero. */
export const epsilon = f(1e-15)

/** Nearest integer, ties to even, of a float32 below 2^22. */
export const nearest = (value: number): number => f(f(value) + 12582912) - 12582912
export const clamp = (value: number, low: number, high: number): number => Math.max(low, Math.min(high, value))

/** Scale of a symmetric group, and the factor that gives its levels; zeros for a group of zeros. */
export interface SymmetricScale {
  scale: number
  factor: number
}

/** Level of a value, from -half to half - 1. */
export const levelOf = (value: number, factor: number, half: number): number =>
  clamp(nearest(f(factor * value)), -half, half - 1)

/** Searches the scale of a group of values with levels from -half to half - 1. @param weights of the squared errors */
export const searchSymmetric = (x: Float32Array, from: number, half: number, weights: Float32Array): SymmetricScale => {
  const size = weights.length
  let [most, signed] = [0, 0]
  for (let i = 0; i < size; i++) {
    const own = Math.abs(x[from + i])
    if (own > most) {
      most = own
      signed = x[from + i]
    }
  }
  if (most < epsilon) return { scale: 0, factor: 0 }
  const sums = (factor: number): [number, number] => {
    let [products, squares] = [0, 0]
    for (let i = 0; i < size; i++) {
      const level = levelOf(x[from + i], factor, half)
      products = f(products + f(f(weights[i] * x[from + i]) * level))
      squares = f(squares + f(f(weights[i] * level) * level))
    }
    return [products, squares]
  }
  let factor = f(-half / signed)
  const [products, squares] = sums(factor)
  let scale = squares === 0 ? 0 : f(products / squares)
  let best = f(scale * products)
  for (let step = -9; step <= 9; step++) {
    if (step === 0) continue
    const tried = f(-f(half + f(f(0.1) * step)) / signed)
    const [a, b] = sums(tried)
    if (!(b > 0 && f(a * a) > f(best * b))) continue
    factor = tried
    scale = f(a / b)
    best = f(scale * a)
  }
  return { scale, factor }
}

/** Weights of values without an importance matrix: large ones count more. */
export const squaresOf = (x: Float32Array, from: number, size: number): Float32Array => {
  const weights = new Float32Array(size)
  for (let i = 0; i < size; i++) weights[i] = x[from + i] * x[from + i]
  return weights
}

/** The scale with the largest magnitude. */
export const largestOf = (scales: readonly number[]): number =>
  scales.reduce((best, scale) => (Math.abs(scale) > Math.abs(best) ? scale : best), 0)

/** Writes a block of Q6_K. @param found scale of each group of 16 */
export const putQ6K = (
  values: Float32Array,
  from: number,
  found: readonly SymmetricScale[],
  out: Uint8Array,
  at: number,
): void => {
  const largest = largestOf(found.map(({ scale }) => scale))
  if (Math.abs(largest) < epsilon) {
    out.fill(0, at, at + 210)
    return
  }
  const levels = new Uint8Array(256)
  const factor = f(-128 / largest)
  const half = toHalf(f(1 / factor))
  putHalf(out, at + 208, half)
  for (const [group, own] of found.entries()) {
    const scale = Math.min(127, nearest(f(factor * own.scale)))
    out[at + 192 + group] = scale & 255
    const step = f(fromHalf(half) * scale)
    for (let i = 16 * group; i < 16 * group + 16; i++) {
      // Where the scale rounds to zero, ggml leaves the levels of the search: their values are zero all the same.
      if (step === 0) levels[i] = own.factor === 0 ? 0 : 32 + levelOf(values[from + i], own.factor, 32)
      else levels[i] = 32 + clamp(nearest(f(values[from + i] / step)), -32, 31)
    }
  }
  for (let part = 0; part < 2; part++)
    for (let i = 0; i < 32; i++) {
      const four = [0, 32, 64, 96].map((offset) => levels[128 * part + i + offset])
      out[at + 64 * part + i] = (four[0] & 15) | ((four[2] & 15) << 4)
      out[at + 64 * part + 32 + i] = (four[1] & 15) | ((four[3] & 15) << 4)
      out[at + 128 + 32 * part + i] =
        (four[0] >> 4) | ((four[1] >> 4) << 2) | ((four[2] >> 4) << 4) | ((four[3] >> 4) << 6)
    }
}

export const quantizeQ6K: Quantize = (values, out) => {
  for (let from = 0, at = 0; from < values.length; from += 256, at += 210)
    putQ6K(values, from, symmetricGroups(values, from, 32, squaresOf), out, at)
}

/** Scales of the 16 groups of a block. @param weights those of a group, by its first value and size */
export const symmetricGroups = (
  values: Float32Array,
  from: number,
  half: number,
  weights: (values: Float32Array, from: number, size: number) => Float32Array,
): SymmetricScale[] =>
  Array.from({ length: 16 }, (_, group) => {
    const first = from + 16 * group
    return searchSymmetric(values, first, half, weights(values, first, 16))
  })

/** How the scale of a group is searched. */
export interface Search {
  /** Values in a group. */
  size: number
  /** Sum absolute errors, not their squares. */
  absolute?: boolean
  /** Highest level. */
  top: number
  /** First candidate, relative to the range of the values. */
  start: number
  steps: number
  /** Distance of two candidates (default: 0.1). */
  delta?: number
}

/** Weights of the errors of a group: larger values count more. */
const weightsOf = (x: Float32Array, from: number, { size, absolute }: Search): Float32Array => {
  const weights = new Float32Array(size)
  if (absolute) {
    for (let i = 0; i < size; i++) weights[i] = Math.abs(x[from + i])
    return weights
  }
  let total = 0
  for (let i = 0; i < size; i++) total = f(total + f(x[from + i] * x[from + i]))
  const mean = f(Math.sqrt(f(total / size)))
  for (let i = 0; i < size; i++) weights[i] = mean + Math.abs(x[from + i])
  return weights
}

/** Scale and minimum of a group of values with levels from 0 to `top`; the levels are left in `levels`. */
export const searchRange = (
  x: Float32Array,
  from: number,
  levels: Uint8Array,
  search: Search,
  weights = weightsOf(x, from, search),
): [number, number] => {
  const { size, top, start, steps, absolute, delta = 0.1 } = search
  let [least, most, sumW] = [x[from], x[from], weights[0]]
  let sumX = f(sumW * x[from])
  for (let i = 1; i < size; i++) {
    if (x[from + i] < least) least = x[from + i]
    if (x[from + i] > most) most = x[from + i]
    sumW = f(sumW + weights[i])
    sumX = f(sumX + f(weights[i] * x[from + i]))
  }
  const own = levels.subarray(from % 256, (from % 256) + size)
  if (least > 0) least = 0
  if (most === least) {
    own.fill(0)
    return [0, -least]
  }
  const tried = new Uint8Array(size)
  const assign = (factor: number, to: Uint8Array) => {
    for (let i = 0; i < size; i++) to[i] = clamp(nearest(f(factor * f(x[from + i] - least))), 0, top)
  }
  const errorOf = (scale: number, minimum: number, of: Uint8Array): number => {
    let error = 0
    for (let i = 0; i < size; i++) {
      const difference = f(f(f(scale * of[i]) + minimum) - x[from + i])
      error = f(error + f(weights[i] * (absolute ? Math.abs(difference) : f(difference * difference))))
    }
    return error
  }
  const factor = f(top / f(most - least))
  let scale = f(1 / factor)
  assign(factor, own)
  let best = errorOf(scale, least, own)
  for (let step = 0; step <= steps; step++) {
    // As in ggml, candidates begin at the best minimum so far.
    assign(f(f(f(f(start) + f(f(delta) * step)) + top) / f(most - least)), tried)
    let [sumL, sumL2, sumXL] = [0, 0, 0]
    for (let i = 0; i < size; i++) {
      const [weight, level] = [weights[i], tried[i]]
      const weighted = f(weight * level)
      sumL = f(sumL + weighted)
      sumL2 = f(sumL2 + f(weighted * level))
      sumXL = f(sumXL + f(weighted * x[from + i]))
    }
    const determinant = f(f(sumW * sumL2) - f(sumL * sumL))
    if (!(determinant > 0)) continue
    let candidate = f(f(f(sumW * sumXL) - f(sumX * sumL)) / determinant)
    let minimum = f(f(f(sumL2 * sumX) - f(sumL * sumXL)) / determinant)
    if (minimum > 0) {
      minimum = 0
      candidate = f(sumXL / sumL2)
    }
    const error = errorOf(candidate, minimum, tried)
    if (error >= best) continue
    own.set(tried)
    best = error
    scale = candidate
    least = minimum
  }
  return [scale, -least]
}

/** Eight 6-bit scales and eight 6-bit minima in 12 bytes. */
const packScales = (out: Uint8Array, at: number, scales: ArrayLike<number>, minima: ArrayLike<number>): void => {
  out.fill(0, at, at + 12)
  for (let group = 0; group < 8; group++) {
    const [scale, minimum] = [scales[group] & 63, minima[group] & 63]
    if (group < 4) {
      out[at + group] = scale
      out[at + group + 4] = minimum
    } else {
      out[at + group + 4] = (scale & 15) | ((minimum & 15) << 4)
      out[at + group - 4] |= (scale >> 4) << 6
      out[at + group] |= (minimum >> 4) << 6
    }
  }
}

/** Scales and minima of the eight groups of a block, as 6-bit numbers of the halves that they multiply. */
export interface RangeScales {
  /** float16 bits of the steps of scales and of minima. */
  halves: readonly [number, number]
  scales: ArrayLike<number>
  minima: ArrayLike<number>
}

/** Writes a block of Q4_K or Q5_K. @param levels those of the search, which stay where a scale is zero */
export const putRanged = (
  values: Float32Array,
  from: number,
  { halves, scales, minima }: RangeScales,
  levels: Uint8Array,
  top: number,
  out: Uint8Array,
  at: number,
): void => {
  putHalf(out, at, halves[0])
  putHalf(out, at + 2, halves[1])
  packScales(out, at + 4, scales, minima)
  for (let group = 0; group < 8; group++) {
    const step = f(fromHalf(halves[0]) * (scales[group] & 63))
    if (step === 0) continue
    const shift = f(fromHalf(halves[1]) * (minima[group] & 63))
    for (let i = 32 * group; i < 32 * group + 32; i++)
      levels[i] = clamp(nearest(f(f(values[from + i] + shift) / step)), 0, top)
  }
  if (top === 31) packFifth(out, at + 16, levels)
  const low = top === 31 ? at + 48 : at + 16
  for (let pair = 0; pair < 4; pair++)
    for (let i = 0; i < 32; i++)
      out[low + 32 * pair + i] = (levels[64 * pair + i] & 15) | ((levels[64 * pair + 32 + i] & 15) << 4)
}

const ranged =
  (search: Search, bytes: number): Quantize =>
  (values, out) => {
    const levels = new Uint8Array(256)
    for (let from = 0, at = 0; from < values.length; from += 256, at += bytes) {
      const found = Array.from({ length: 8 }, (_, group) => searchRange(values, from + 32 * group, levels, search))
      const [largest, lowest] = [0, 1].map((which) => Math.max(0, ...found.map((pair) => pair[which])))
      const [toScale, toMinimum] = [largest, lowest].map((most) => (most > 0 ? f(63 / most) : 0))
      const scales = found.map(([scale]) => Math.min(63, nearest(f(toScale * scale))))
      const minima = found.map(([, minimum]) => Math.min(63, nearest(f(toMinimum * minimum))))
      const halves = [toHalf(f(largest / 63)), toHalf(f(lowest / 63))] as const
      putRanged(values, from, { halves, scales, minima }, levels, search.top, out, at)
    }
  }

/** The fifth bits: byte i has that of value i of each group. */
const packFifth = (out: Uint8Array, at: number, levels: Uint8Array): void => {
  for (let i = 0; i < 32; i++) {
    let byte = 0
    for (let group = 0; group < 8; group++) byte |= (levels[32 * group + i] >> 4) << group
    out[at + i] = byte
  }
}

export const quantizeQ4K = ranged({ size: 32, top: 15, start: -1, steps: 20 }, 144)
export const quantizeQ5K = ranged({ size: 32, top: 31, start: -0.5, steps: 15 }, 176)
