// The element types of GGUF files and their block sizes. The addon reads and multiplies most blocks; the others (Q2_K, Q3_K, IQ4_NL,
// IQ4_XS, MXFP4) are dequantised here: every product is exact in double precision, so that the single rounding to float32 at the end
// gives the same bits as ggml.
// @source https://github.com/ggml-org/ggml, struct definitions of its quantised blocks
import { type BlockFormat, isBlockFormat } from '../nn/index.ts'
import type { Dtype } from '../tensor/index.ts'

/** Writes the values of `blocks` blocks from the start of `bytes` to `out`. */
export type Dequantize = (bytes: Uint8Array, blocks: number, out: Float32Array) => void

/** Values of the sixteen levels of IQ4_NL and IQ4_XS. */
const iq4Levels: readonly number[] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]

/** Values of the sixteen levels of MXFP4, twice those of the format: its scales are halved. */
const mxfp4Levels: readonly number[] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]

/** Values of all float16 bit patterns, computed when they are first used. */
let halves: Float32Array | undefined
const halfValues = (): Float32Array => {
  if (halves !== undefined) return halves
  halves = new Float32Array(65536)
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31
    const fraction = bits & 1023
    const size =
      exponent === 0
        ? fraction * 2 ** -24
        : exponent < 31
          ? (1024 + fraction) * 2 ** (exponent - 25)
          : fraction === 0
            ? Number.POSITIVE_INFINITY
            : Number.NaN
    halves[bits] = bits >= 0x8000 ? -size : size
  }
  return halves
}

const halfAt = (bytes: Uint8Array, at: number): number => halfValues()[bytes[at] | (bytes[at + 1] << 8)]

// Sixteen groups of 16, each with a scale and a minimum of four bits.
const q2k: Dequantize = (bytes, blocks, out) => {
  for (let block = 0; block < blocks; block++) {
    const start = block * 84
    const [scale, least] = [halfAt(bytes, start + 80), halfAt(bytes, start + 82)]
    for (let group = 0; group < 16; group++) {
      const packed = bytes[start + group]
      const [factor, shift] = [scale * (packed & 15), least * (packed >> 4)]
      const from = start + 16 + 32 * (group >> 3) + 16 * (group & 1)
      const bits = group & 6
      const to = block * 256 + 16 * group
      for (let i = 0; i < 16; i++) out[to + i] = factor * ((bytes[from + i] >> bits) & 3) - shift
    }
  }
}

/** The 6-bit scale of one of sixteen groups, packed into 12 bytes. */
const scaleOf = (bytes: Uint8Array, at: number, group: number): number => {
  const low = group < 8 ? bytes[at + group] & 15 : bytes[at + group - 8] >> 4
  return (low | (((bytes[at + 8 + (group & 3)] >> (2 * (group >> 2))) & 3) << 4)) - 32
}

// Sixteen groups of 16 with signed scales; the third bits of all values are in front.
const q3k: Dequantize = (bytes, blocks, out) => {
  for (let block = 0; block < blocks; block++) {
    const start = block * 110
    const scale = halfAt(bytes, start + 108)
    for (let group = 0; group < 16; group++) {
      const factor = scale * scaleOf(bytes, start + 96, group)
      const half = 16 * (group & 1)
      const from = start + 32 + 32 * (group >> 3) + half
      const to = block * 256 + 16 * group
      for (let i = 0; i < 16; i++) {
        const third = (bytes[start + half + i] >> (group >> 1)) & 1
        out[to + i] = factor * (((bytes[from + i] >> (group & 6)) & 3) - (third === 1 ? 0 : 4))
      }
    }
  }
}

/** Sixteen bytes with the levels (i, i + 16). */
const pairs = (
  bytes: Uint8Array,
  from: number,
  factor: number,
  levels: readonly number[],
  out: Float32Array,
  to: number,
): void => {
  for (let i = 0; i < 16; i++) {
    out[to + i] = factor * levels[bytes[from + i] & 15]
    out[to + i + 16] = factor * levels[bytes[from + i] >> 4]
  }
}

const iq4nl: Dequantize = (bytes, blocks, out) => {
  for (let block = 0; block < blocks; block++)
    pairs(bytes, 18 * block + 2, halfAt(bytes, 18 * block), iq4Levels, out, 32 * block)
}

// Eight groups of 32 with signed 6-bit scales.
const iq4xs: Dequantize = (bytes, blocks, out) => {
  for (let block = 0; block < blocks; block++) {
    const start = block * 136
    const high = bytes[start + 2] | (bytes[start + 3] << 8)
    for (let group = 0; group < 8; group++) {
      const low = (bytes[start + 4 + (group >> 1)] >> (4 * (group & 1))) & 15
      const scale = (low | (((high >> (2 * group)) & 3) << 4)) - 32
      const factor = halfAt(bytes, start) * scale
      pairs(bytes, start + 8 + 16 * group, factor, iq4Levels, out, block * 256 + 32 * group)
    }
  }
}

const mxfp4: Dequantize = (bytes, blocks, out) => {
  for (let block = 0; block < blocks; block++)
    pairs(bytes, 17 * block + 1, 2 ** (bytes[17 * block] - 128), mxfp4Levels, out, 32 * block)
}

/** How the values of a tensor lie in a GGUF file. */
export interface GgufType {
  /** As llama.cpp names it, such as `Q4_K`. */
  name: string
  /** Values in a block; rows hold whole blocks. */
  blockSize: number
  /** Bytes of a block in the file. */
  blockBytes: number
  /** dtype of a plain type, whose values can be mapped. */
  dtype?: Dtype
  /** Format of a quantised type that the addon reads. */
  format?: BlockFormat
  /** Reads the blocks of another quantised type. */
  dequantize?: Dequantize
}

const plain = (name: string, dtype: Dtype, bytes: number): GgufType => ({
  name,
  blockSize: 1,
  blockBytes: bytes,
  dtype,
})
const quantised = (name: string, blockSize: number, blockBytes: number, dequantize?: Dequantize): GgufType => ({
  name,
  blockSize,
  blockBytes,
  ...(isBlockFormat(name) ? { format: name } : {}),
  ...(dequantize === undefined ? {} : { dequantize }),
})

/** Types by ggml's code. Those without dtype, format and dequantize are known by size only. */
export const ggufTypes: ReadonlyMap<number, GgufType> = new Map([
  [0, plain('F32', 'float32', 4)],
  [1, plain('F16', 'float16', 2)],
  [2, quantised('Q4_0', 32, 18)],
  [3, quantised('Q4_1', 32, 20)],
  [6, quantised('Q5_0', 32, 22)],
  [7, quantised('Q5_1', 32, 24)],
  [8, quantised('Q8_0', 32, 34)],
  [9, quantised('Q8_1', 32, 36)],
  [10, quantised('Q2_K', 256, 84, q2k)],
  [11, quantised('Q3_K', 256, 110, q3k)],
  [12, quantised('Q4_K', 256, 144)],
  [13, quantised('Q5_K', 256, 176)],
  [14, quantised('Q6_K', 256, 210)],
  [15, quantised('Q8_K', 256, 292)],
  [16, quantised('IQ2_XXS', 256, 66)],
  [17, quantised('IQ2_XS', 256, 74)],
  [18, quantised('IQ3_XXS', 256, 98)],
  [19, quantised('IQ1_S', 256, 50)],
  [20, quantised('IQ4_NL', 32, 18, iq4nl)],
  [21, quantised('IQ3_S', 256, 110)],
  [22, quantised('IQ2_S', 256, 82)],
  [23, quantised('IQ4_XS', 256, 136, iq4xs)],
  [24, plain('I8', 'int8', 1)],
  [25, plain('I16', 'int16', 2)],
  [26, plain('I32', 'int32', 4)],
  [27, plain('I64', 'int64', 8)],
  [28, plain('F64', 'float64', 8)],
  [29, quantised('IQ1_M', 256, 56)],
  [30, plain('BF16', 'bfloat16', 2)],
  [34, quantised('TQ1_0', 256, 54)],
  [35, quantised('TQ2_0', 256, 66)],
  [39, quantised('MXFP4', 32, 17, mxfp4)],
])

/** The type of a name, with its code. @throws Error for an unknown name, which is a mistake of ours */
export const ggufType = (name: string): GgufType & { code: number } => {
  for (const [code, type] of ggufTypes) if (type.name === name) return { code, ...type }
  throw new Error(`no type ${name} in GGUF`)
}

/** Names of the types whose values can be read. */
export const readableGgufTypes: readonly string[] = [...ggufTypes.values()]
  .filter(({ dtype, format, dequantize }) => (dtype ?? format ?? dequantize) !== undefined)
  .map(({ name }) => name)
