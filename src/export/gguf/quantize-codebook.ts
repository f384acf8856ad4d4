// Quantisers whose levels are sixteen given values, not multiples of a step (IQ4_NL, IQ4_XS, MXFP4), with the arithmetic of ggml
// in float32. @source https://github.com/ggml-org/ggml, ggml-quants (search of scales, order of operations)
import { iq4Levels, mxfp4Levels } from '../../checkpoint/index.ts'
import { toHalf } from './float16.ts'
import { putHalf, type Quantize } from './quantize.ts'
import { clamp, epsilon, largestOf, nearest, squaresOf } from './quantize-k.ts'

const f = Math.fround
const top = iq4Levels.length - 1

/** Index of the nearest level. */
const nearestLevel = (x: number): number => {
  if (x <= iq4Levels[0]) return 0
  if (x >= iq4Levels[top]) return top
  let [low, high] = [0, top]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (x < iq4Levels[middle]) high = middle
    else low = middle
  }
  return f(x - iq4Levels[high - 1]) < f(iq4Levels[high] - x) ? high - 1 : high
}

/** Scale of 32 values: the best of fifteen, and of the one that each level would choose. @param weights of the errors */
const searchScale = (x: Float32Array, from: number, weights: Float32Array): number => {
  let [most, signed] = [0, 0]
  for (let i = 0; i < 32; i++)
    if (Math.abs(x[from + i]) > most) {
      signed = x[from + i]
      most = Math.abs(signed)
    }
  if (most < epsilon) return 0
  const sums = (factor: number): [number, number] => {
    let [products, squares] = [0, 0]
    for (let i = 0; i < 32; i++) {
      const value = x[from + i]
      const level = iq4Levels[nearestLevel(f(factor * value))]
      const weighted = f(weights[i] * level)
      products = f(products + f(weighted * value))
      squares = f(squares + f(weighted * level))
    }
    return [products, squares]
  }
  const [products, squares] = sums(f(1 / f(-signed / iq4Levels[0])))
  let scale = squares > 0 ? f(products / squares) : 0
  let best = f(scale * products)
  for (let step = -7; step <= 7; step++) {
    const [a, b] = sums(f((step + iq4Levels[0]) / signed))
    if (!(b > 0 && f(a * a) > f(best * b))) continue
    scale = f(a / b)
    best = f(scale * a)
  }
  return scale
}

const inverse = (scale: number): number => (scale === 0 ? 0 : f(1 / scale))

/** Sixteen bytes with the levels (i, i + 16) of 32 values. */
const putLevels = (x: Float32Array, from: number, factor: number, out: Uint8Array, at: number): void => {
  const level = (i: number) => nearestLevel(f(factor * x[from + i]))
  for (let i = 0; i < 16; i++) out[at + i] = level(i) | (level(i + 16) << 4)
}

/** Weights of 32 values, by the first of them. */
type GroupWeights = (values: Float32Array, from: number) => Float32Array

const squares32: GroupWeights = (values, from) => squaresOf(values, from, 32)

/** A block of IQ4_NL. */
export const putIq4Nl = (
  values: Float32Array,
  from: number,
  weights: Float32Array,
  out: Uint8Array,
  at: number,
): void => {
  const scale = searchScale(values, from, weights)
  putHalf(out, at, toHalf(scale))
  putLevels(values, from, inverse(scale), out, at + 2)
}

export const quantizeIq4Nl: Quantize = (values, out) => {
  for (let from = 0, at = 0; from < values.length; from += 32, at += 18)
    putIq4Nl(values, from, squares32(values, from), out, at)
}

/** A block of IQ4_XS. */
export const putIq4Xs = (
  values: Float32Array,
  from: number,
  weights: GroupWeights,
  out: Uint8Array,
  at: number,
): void => {
  const scales = Array.from({ length: 8 }, (_, group) => {
    const first = from + 32 * group
    return searchScale(values, first, weights(values, first))
  })
  const step = f(-largestOf(scales) / 32)
  putHalf(out, at, toHalf(step))
  const factor = inverse(step)
  let high = 0
  for (const [group, scale] of scales.entries()) {
    const level = clamp(nearest(f(factor * scale)), -32, 31)
    putLevels(values, from + 32 * group, inverse(f(step * level)), out, at + 8 + 16 * group)
    const packed = level + 32
    const byte = at + 4 + (group >> 1)
    out[byte] = group % 2 === 0 ? packed & 15 : out[byte] | ((packed & 15) << 4)
    high |= (packed >> 4) << (2 * group)
  }
  putHalf(out, at + 2, high)
}

export const quantizeIq4Xs: Quantize = (values, out) => {
  for (let from = 0, at = 0; from < values.length; from += 256, at += 136) putIq4Xs(values, from, squares32, out, at)
}

/** Index of the level with the least error. */
const nearestMxfp4 = (x: number, scale: number): number => {
  let best = 0
  let error = Math.abs(f(f(mxfp4Levels[0] * scale) - x))
  for (let i = 1; i < 16; i++) {
    const own = Math.abs(f(f(mxfp4Levels[i] * scale) - x))
    if (own >= error) continue
    best = i
    error = own
  }
  return best
}

export const quantizeMxfp4: Quantize = (values, out) => {
  for (let from = 0, at = 0; from < values.length; from += 32, at += 17) {
    let most = 0
    for (let i = 0; i < 32; i++) most = Math.max(most, Math.abs(values[from + i]))
    const exponent = most > 0 ? (Math.floor(f(Math.log2(most))) - 2 + 127) & 255 : 0
    const scale = 2 ** (exponent - 128)
    out[at] = exponent
    for (let i = 0; i < 16; i++)
      out[at + 1 + i] = nearestMxfp4(values[from + i], scale) | (nearestMxfp4(values[from + i + 16], scale) << 4)
  }
}
