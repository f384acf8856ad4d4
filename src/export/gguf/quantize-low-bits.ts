// Quantisers of blocks of 256 values in groups of 16 (Q2_K, Q3_K), with the arithmetic of ggml in float32.
// @source https://github.com/ggml-org/ggml, ggml-quants (search of scales, order of operations)
import { fromHalf, toHalf } from './float16.ts'
import { putHalf, type Quantize } from './quantize.ts'
import { clamp, epsilon, largestOf, nearest, type Search, searchRange } from './quantize-k.ts'

const f = Math.fround
const groups = 16

/** Two bits of each of 256 levels: a byte has those of the values i, i + 32, i + 64 and i + 96. */
const packTwoBits = (levels: Uint8Array, out: Uint8Array, at: number): void => {
  for (let part = 0; part < 2; part++)
    for (let i = 0; i < 32; i++) {
      const from = 128 * part + i
      out[at + 32 * part + i] =
        (levels[from] & 3) |
        ((levels[from + 32] & 3) << 2) |
        ((levels[from + 64] & 3) << 4) |
        ((levels[from + 96] & 3) << 6)
    }
}

const twoBits: Search = { size: 16, top: 3, start: -0.5, steps: 15, absolute: true }

/** Writes a block of Q2_K. @param packed scale and minimum of each group @param halves float16 bits of their steps */
export const putQ2K = (
  values: Float32Array,
  from: number,
  { packed, halves }: { packed: readonly number[]; halves: readonly [number, number] },
  levels: Uint8Array,
  out: Uint8Array,
  at: number,
): void => {
  putHalf(out, at + 80, halves[0])
  putHalf(out, at + 82, halves[1])
  for (const [group, both] of packed.entries()) {
    out[at + group] = both
    const step = f(fromHalf(halves[0]) * (both & 15))
    if (step === 0) continue
    const shift = f(fromHalf(halves[1]) * (both >> 4))
    for (let i = 16 * group; i < 16 * group + 16; i++)
      levels[i] = clamp(nearest(f(f(values[from + i] + shift) / step)), 0, 3)
  }
  packTwoBits(levels, out, at + 16)
}

export const quantizeQ2K: Quantize = (values, out) => {
  const levels = new Uint8Array(256)
  for (let from = 0, at = 0; from < values.length; from += 256, at += 84) {
    const found = Array.from({ length: groups }, (_, group) => searchRange(values, from + 16 * group, levels, twoBits))
    const [largest, lowest] = [0, 1].map((which) => Math.max(0, ...found.map((pair) => pair[which])))
    const [toScale, toLeast] = [largest, lowest].map((most) => (most > 0 ? f(15 / most) : 0))
    const packed = found.map(([scale, least]) => nearest(f(toScale * scale)) | (nearest(f(toLeast * least)) << 4))
    putQ2K(values, from, { packed, halves: [toHalf(f(largest / 15)), toHalf(f(lowest / 15))] }, levels, out, at)
  }
}

/** Scale of a group of 16 values with levels from -4 to 3, which improves one level at a time. */
const searchThreeBits = (x: Float32Array, from: number, levels: Uint8Array): number => {
  let [most, signed] = [0, 0]
  for (let i = 0; i < 16; i++)
    if (Math.abs(x[from + i]) > most) {
      signed = x[from + i]
      most = Math.abs(signed)
    }
  const own = new Int8Array(16)
  if (most < epsilon) {
    levels.fill(0, from % 256, (from % 256) + 16)
    return 0
  }
  const factor = f(-4 / signed)
  let [products, squares] = [0, 0]
  const weighted = (i: number) => f(x[from + i] * x[from + i])
  for (let i = 0; i < 16; i++) {
    own[i] = clamp(nearest(f(factor * x[from + i])), -4, 3)
    products = f(products + f(f(weighted(i) * x[from + i]) * own[i]))
    squares = f(squares + f(f(weighted(i) * own[i]) * own[i]))
  }
  for (let round = 0, changed = 1; round < 5 && changed > 0; round++) {
    changed = 0
    for (let i = 0; i < 16; i++) {
      const [value, weight] = [x[from + i], weighted(i)]
      let without = f(products - f(f(weight * value) * own[i]))
      if (!(without > 0)) continue
      let rest = f(squares - f(f(weight * own[i]) * own[i]))
      const level = clamp(nearest(f(f(value * rest) / without)), -4, 3)
      if (level === own[i]) continue
      without = f(without + f(f(weight * value) * level))
      rest = f(rest + f(f(weight * level) * level))
      if (!(rest > 0 && f(f(without * without) * squares) > f(f(products * products) * rest))) continue
      own[i] = level
      products = without
      squares = rest
      changed++
    }
  }
  for (let i = 0; i < 16; i++) levels[(from % 256) + i] = own[i] + 4
  return squares > 0 ? f(products / squares) : 0
}

/** Writes a block of Q3_K. @param scales of the groups, -32 to 31 @param half float16 bits of their step */
export const putQ3K = (
  values: Float32Array,
  from: number,
  { scales, half }: { scales: readonly number[]; half: number },
  levels: Uint8Array,
  out: Uint8Array,
  at: number,
): void => {
  out.fill(0, at, at + 110)
  putHalf(out, at + 108, half)
  for (const [group, scale] of scales.entries()) {
    const packed = scale + 32
    out[at + 96 + (group & 7)] |= (packed & 15) << (group < 8 ? 0 : 4)
    out[at + 104 + (group & 3)] |= (packed >> 4) << (2 * (group >> 2))
    const step = f(fromHalf(half) * scale)
    if (step === 0) continue
    for (let i = 16 * group; i < 16 * group + 16; i++) levels[i] = clamp(nearest(f(values[from + i] / step)), -4, 3) + 4
  }
  for (let i = 0; i < 256; i++) if (levels[i] > 3) out[at + (i & 31)] |= 1 << (i >> 5)
  packTwoBits(levels, out, at + 32)
}

export const quantizeQ3K: Quantize = (values, out) => {
  const levels = new Uint8Array(256)
  for (let from = 0, at = 0; from < values.length; from += 256, at += 110) {
    const found = Array.from({ length: groups }, (_, group) => searchThreeBits(values, from + 16 * group, levels))
    const largest = largestOf(found)
    const factor = largest === 0 ? 0 : f(-32 / largest)
    const half = largest === 0 ? 0 : toHalf(f(1 / factor))
    // Without a scale all scales are zero bits, which mean -32.
    const scales = found.map((own) => (largest === 0 ? -32 : clamp(nearest(f(factor * own)), -32, 31)))
    putQ3K(values, from, { scales, half }, levels, out, at)
  }
}
