// The element types of GGUF files: block sizes, and dequantisation of blocks to float32. Every product below is exact
// in double precision, so that the single rounding to float32 at the end gives the same bits as ggml.
// @source https://github.com/ggml-org/ggml, struct definitions of its quantised blocks
import type { Dtype } from '../tensor/index.ts'
import { type Dequantize, halfValues } from './gguf-half.ts'
import { iq4nl, iq4xs, mxfp4, q2k, q3k } from './gguf-low-bits.ts'

export interface GgufType {
  name: string
  /** Values in a block; rows hold whole blocks. */
  blockSize: number
  blockBytes: number
  /** dtype of a plain type, whose values can be mapped. */
  dtype?: Dtype
  dequantize?: Dequantize
}

const q80: Dequantize = (bytes, blocks, out) => {
  const half = halfValues()
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let block = 0, at = 0, to = 0; block < blocks; block++) {
    const scale = half[bytes[at] | (bytes[at + 1] << 8)]
    at += 2
    for (let i = 0; i < 32; i++) out[to++] = scale * signed[at++]
  }
}

const q40: Dequantize = (bytes, blocks, out) => {
  const half = halfValues()
  for (let block = 0, at = 0, to = 0; block < blocks; block++) {
    const scale = half[bytes[at] | (bytes[at + 1] << 8)]
    at += 2
    for (let i = 0; i < 16; i++, to++) {
      const pair = bytes[at++]
      out[to] = scale * ((pair & 15) - 8)
      out[to + 16] = scale * ((pair >> 4) - 8)
    }
    to += 16
  }
}

const q41: Dequantize = (bytes, blocks, out) => {
  const half = halfValues()
  for (let block = 0, at = 0, to = 0; block < blocks; block++) {
    const scale = half[bytes[at] | (bytes[at + 1] << 8)]
    const least = half[bytes[at + 2] | (bytes[at + 3] << 8)]
    at += 4
    for (let i = 0; i < 16; i++, to++) {
      const pair = bytes[at++]
      out[to] = scale * (pair & 15) + least
      out[to + 16] = scale * (pair >> 4) + least
    }
    to += 16
  }
}

/** Bit of value i among the fifth bits of a block of 32. */
const fifthBit = (bytes: Uint8Array, at: number, i: number): number => ((bytes[at + (i >> 3)] >> (i & 7)) & 1) << 4

const q50: Dequantize = (bytes, blocks, out) => {
  const half = halfValues()
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 22, to += 32) {
    const scale = half[bytes[at] | (bytes[at + 1] << 8)]
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 6 + i]
      out[to + i] = scale * (((pair & 15) | fifthBit(bytes, at + 2, i)) - 16)
      out[to + i + 16] = scale * (((pair >> 4) | fifthBit(bytes, at + 2, i + 16)) - 16)
    }
  }
}

const q51: Dequantize = (bytes, blocks, out) => {
  const half = halfValues()
  for (let block = 0, at = 0, to = 0; block < blocks; block++, at += 24, to += 32) {
    const scale = half[bytes[at] | (bytes[at + 1] << 8)]
    const least = half[bytes[at + 2] | (bytes[at + 3] << 8)]
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 8 + i]
      out[to + i] = scale * ((pair & 15) | fifthBit(bytes, at + 4, i)) + least
      out[to + i + 16] = scale * ((pair >> 4) | fifthBit(bytes, at + 4, i + 16)) + least
    }
  }
}

/** The 6-bit scale and minimum of one of eight groups, packed into 12 bytes. */
const scaleAndLeast = (bytes: Uint8Array, packed: number, i: number): [number, number] =>
  i < 4
    ? [bytes[packed + i] & 63, bytes[packed + i + 4] & 63]
    : [
        (bytes[packed + i + 4] & 15) | ((bytes[packed + i - 4] >> 6) << 4),
        (bytes[packed + i + 4] >> 4) | ((bytes[packed + i] >> 6) << 4),
      ]

// As Q4_K, with the fifth bits of the groups in the bits of 32 bytes.
const q5k: Dequantize = (bytes, blocks, out) => {
  const half = halfValues()
  for (let block = 0, to = 0; block < blocks; block++) {
    const start = block * 176
    const scale = half[bytes[start] | (bytes[start + 1] << 8)]
    const least = half[bytes[start + 2] | (bytes[start + 3] << 8)]
    for (let group = 0; group < 8; group++) {
      const [scaleBits, leastBits] = scaleAndLeast(bytes, start + 4, group)
      const [factor, shift] = [scale * scaleBits, least * leastBits]
      const low = start + 48 + 32 * (group >> 1)
      for (let k = 0; k < 32; k++) {
        const level = ((bytes[low + k] >> (4 * (group & 1))) & 15) | (((bytes[start + 16 + k] >> group) & 1) << 4)
        out[to++] = factor * level - shift
      }
    }
  }
}

// Eight groups of 32; each has a 6-bit scale and a 6-bit minimum, packed into 12 bytes.
const q4k: Dequantize = (bytes, blocks, out) => {
  const half = halfValues()
  for (let block = 0, to = 0; block < blocks; block++) {
    const start = block * 144
    const scale = half[bytes[start] | (bytes[start + 1] << 8)]
    const least = half[bytes[start + 2] | (bytes[start + 3] << 8)]
    const packed = start + 4
    let at = start + 16
    for (let group = 0; group < 8; group += 2) {
      for (let high = 0; high < 2; high++) {
        const i = group + high
        const [scaleBits, leastBits] = scaleAndLeast(bytes, packed, i)
        const factor = scale * scaleBits
        const shift = least * leastBits
        for (let k = 0; k < 32; k++) out[to++] = factor * ((bytes[at + k] >> (4 * high)) & 15) - shift
      }
      at += 32
    }
  }
}

// Sixteen groups of 16 with signed 8-bit scales; the low four bits of the values are separate from the high two.
const q6k: Dequantize = (bytes, blocks, out) => {
  const half = halfValues()
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let block = 0; block < blocks; block++) {
    const start = block * 210
    const scale = half[bytes[start + 208] | (bytes[start + 209] << 8)]
    for (let part = 0; part < 2; part++) {
      const low = start + 64 * part
      const high = start + 128 + 32 * part
      const scales = start + 192 + 8 * part
      const to = block * 256 + 128 * part
      for (let quarter = 0; quarter < 4; quarter++) {
        const lowAt = low + 32 * (quarter & 1)
        const lowShift = quarter < 2 ? 0 : 4
        for (let k = 0; k < 32; k++) {
          const value = ((bytes[lowAt + k] >> lowShift) & 15) | (((bytes[high + k] >> (2 * quarter)) & 3) << 4)
          out[to + 32 * quarter + k] = scale * signed[scales + 2 * quarter + (k >> 4)] * (value - 32)
        }
      }
    }
  }
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
  dequantize,
})

/** Types by ggml's code. Those without dtype and dequantize are known by size only. */
export const ggufTypes: ReadonlyMap<number, GgufType> = new Map([
  [0, plain('F32', 'float32', 4)],
  [1, plain('F16', 'float16', 2)],
  [2, quantised('Q4_0', 32, 18, q40)],
  [3, quantised('Q4_1', 32, 20, q41)],
  [6, quantised('Q5_0', 32, 22, q50)],
  [7, quantised('Q5_1', 32, 24, q51)],
  [8, quantised('Q8_0', 32, 34, q80)],
  [9, quantised('Q8_1', 32, 36)],
  [10, quantised('Q2_K', 256, 84, q2k)],
  [11, quantised('Q3_K', 256, 110, q3k)],
  [12, quantised('Q4_K', 256, 144, q4k)],
  [13, quantised('Q5_K', 256, 176, q5k)],
  [14, quantised('Q6_K', 256, 210, q6k)],
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
  .filter(({ dtype, dequantize }) => dtype !== undefined || dequantize !== undefined)
  .map(({ name }) => name)
