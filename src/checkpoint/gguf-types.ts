// The element types of GGUF files and their block sizes. The addon reads and multiplies most blocks.
// @source https://github.com/ggml-org/ggml, struct definitions of its quantised blocks
import { type BlockFormat, isBlockFormat } from '../nn/index.ts'
import type { Dtype } from '../tensor/index.ts'
import { type Dequantize, iq4nl, iq4xs, mxfp4, q2k, q3k } from './gguf-low-bits.ts'

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
