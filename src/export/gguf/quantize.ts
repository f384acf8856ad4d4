// Quantisers of blocks of 32 values, with the arithmetic of ggml in float32, so that blocks have the same bytes.
// @source https://github.com/ggml-org/ggml, ggml-quants (order of operations and rounding)
import { toHalf } from './float16.ts'

const f = Math.fround

/** Writes the blocks of `values`, whose length is a multiple of the block size, to `out`. */
export type Quantize = (values: Float32Array, out: Uint8Array) => void

export const putHalf = (out: Uint8Array, at: number, bits: number): void => {
  out[at] = bits & 255
  out[at + 1] = bits >> 8
}

const inverse = (scale: number): number => (scale === 0 ? 0 : f(1 / scale))

/** Nearest integer, ties away from zero. */
const roundAway = (value: number): number => (value < 0 ? -Math.floor(f(-value + 0.5)) : Math.floor(f(value + 0.5)))

export const quantizeQ80: Quantize = (values, out) => {
  for (let from = 0, at = 0; from < values.length; from += 32, at += 34) {
    let most = 0
    for (let i = 0; i < 32; i++) most = Math.max(most, Math.abs(values[from + i]))
    const scale = f(most / 127)
    const factor = inverse(scale)
    putHalf(out, at, toHalf(scale))
    for (let i = 0; i < 32; i++) out[at + 2 + i] = roundAway(f(values[from + i] * factor)) & 255
  }
}

/** The value with the largest absolute value, with its sign. */
const extreme = (values: Float32Array, from: number): number => {
  let [most, signed] = [0, 0]
  for (let i = 0; i < 32; i++) {
    const size = Math.abs(values[from + i])
    if (size > most) {
      most = size
      signed = values[from + i]
    }
  }
  return signed
}

/** Symmetric blocks of 4 or 5 bits. */
const symmetric =
  (bits: 4 | 5): Quantize =>
  (values, out) => {
    const half = 2 ** (bits - 1)
    const bytes = bits === 4 ? 18 : 22
    for (let from = 0, at = 0; from < values.length; from += 32, at += bytes) {
      const scale = f(extreme(values, from) / -half)
      const factor = inverse(scale)
      putHalf(out, at, toHalf(scale))
      const level = (i: number) => Math.min(2 * half - 1, Math.trunc(f(f(values[from + i] * factor) + half + 0.5)))
      packLevels(level, out, at + 2, bits)
    }
  }

/** Blocks of 4 or 5 bits with a minimum. */
const withMinimum =
  (bits: 4 | 5): Quantize =>
  (values, out) => {
    const top = 2 ** bits - 1
    const bytes = bits === 4 ? 20 : 24
    for (let from = 0, at = 0; from < values.length; from += 32, at += bytes) {
      let [least, most] = [values[from], values[from]]
      for (let i = 1; i < 32; i++) {
        // Not Math.min, which prefers -0 to 0.
        if (values[from + i] < least) least = values[from + i]
        if (values[from + i] > most) most = values[from + i]
      }
      const scale = f(f(most - least) / top)
      const factor = inverse(scale)
      putHalf(out, at, toHalf(scale))
      putHalf(out, at + 2, toHalf(least))
      const level = (i: number) => Math.min(top, Math.trunc(f(f(f(values[from + i] - least) * factor) + 0.5)))
      packLevels(level, out, at + 4, bits)
    }
  }

/** Low four bits in pairs (i, i + 16), after the fifth bits of all 32 where there are five. */
export const packLevels = (level: (i: number) => number, out: Uint8Array, at: number, bits: 4 | 5): void => {
  let fifth = 0
  const low = bits === 4 ? at : at + 4
  for (let i = 0; i < 16; i++) {
    const [a, b] = [level(i), level(i + 16)]
    out[low + i] = (a & 15) | ((b & 15) << 4)
    fifth |= (((a >> 4) & 1) << i) | (((b >> 4) & 1) << (i + 16))
  }
  if (bits === 5) for (let byte = 0; byte < 4; byte++) out[at + byte] = (fifth >>> (8 * byte)) & 255
}

export const quantizeQ40 = symmetric(4)
export const quantizeQ50 = symmetric(5)
export const quantizeQ41 = withMinimum(4)
export const quantizeQ51 = withMinimum(5)
