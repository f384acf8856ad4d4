// The quantised types that GGUF files are written with.
import { type GgufType, ggufType } from '../../checkpoint/index.ts'
import { type Quantize, quantizeQ40, quantizeQ41, quantizeQ50, quantizeQ51, quantizeQ80 } from './quantize.ts'
import { quantizeQ4K, quantizeQ5K, quantizeQ6K } from './quantize-k.ts'

/** A quantised type, with the sizes that files are read by. */
export interface Quantizer extends Pick<GgufType, 'blockSize' | 'blockBytes'> {
  /** ggml's number of the type. */
  code: number
  quantize: Quantize
}

/** Quantised types by ggml's name. */
export const quantizers: Readonly<Record<string, Quantizer>> = Object.fromEntries(
  Object.entries({
    Q4_0: quantizeQ40,
    Q4_1: quantizeQ41,
    Q5_0: quantizeQ50,
    Q5_1: quantizeQ51,
    Q8_0: quantizeQ80,
    Q4_K: quantizeQ4K,
    Q5_K: quantizeQ5K,
    Q6_K: quantizeQ6K,
  }).map(([name, quantize]) => [name, { ...ggufType(name), quantize }]),
)
