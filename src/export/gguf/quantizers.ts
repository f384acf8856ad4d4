// The quantised types that GGUF files are written with.
import { type Quantize, quantizeQ40, quantizeQ41, quantizeQ50, quantizeQ51, quantizeQ80 } from './quantize.ts'
import { quantizeQ4K, quantizeQ5K, quantizeQ6K } from './quantize-k.ts'

/** A quantised type. */
export interface Quantizer {
  /** ggml's number of the type. */
  code: number
  /** Values in a block. */
  blockSize: number
  blockBytes: number
  quantize: Quantize
}

const quantizer = (code: number, blockSize: number, blockBytes: number, quantize: Quantize): Quantizer => ({
  code,
  blockSize,
  blockBytes,
  quantize,
})

/** Quantised types by ggml's name. */
export const quantizers: Readonly<Record<string, Quantizer>> = {
  Q4_0: quantizer(2, 32, 18, quantizeQ40),
  Q4_1: quantizer(3, 32, 20, quantizeQ41),
  Q5_0: quantizer(6, 32, 22, quantizeQ50),
  Q5_1: quantizer(7, 32, 24, quantizeQ51),
  Q8_0: quantizer(8, 32, 34, quantizeQ80),
  Q4_K: quantizer(12, 256, 144, quantizeQ4K),
  Q5_K: quantizer(13, 256, 176, quantizeQ5K),
  Q6_K: quantizer(14, 256, 210, quantizeQ6K),
}
