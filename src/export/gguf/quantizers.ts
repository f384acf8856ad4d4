// The quantised types that GGUF files are written with. The addon writes their blocks.
import { type GgufType, ggufType } from '../../checkpoint/index.ts'

/** A quantised type, with the sizes that files are read by. */
export interface Quantizer extends Pick<GgufType, 'blockSize' | 'blockBytes'> {
  /** ggml's number of the type. */
  code: number
  /** Whether ggml uses an importance matrix. */
  weighted: boolean
}

const weighted = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K', 'IQ4_NL', 'IQ4_XS']
const unweighted = ['Q8_0', 'MXFP4']

/** Quantised types by ggml's name. */
export const quantizers: Readonly<Record<string, Quantizer>> = Object.fromEntries(
  [...weighted, ...unweighted].map((name) => [name, { ...ggufType(name), weighted: weighted.includes(name) }]),
)
