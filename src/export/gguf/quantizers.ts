// The quantised types that GGUF files are written with.
import { type GgufType, ggufType } from '../../checkpoint/index.ts'
import { type Quantize, quantizeQ40, quantizeQ41, quantizeQ50, quantizeQ51, quantizeQ80 } from './quantize.ts'
import { quantizeIq4Nl, quantizeIq4Xs, quantizeMxfp4 } from './quantize-codebook.ts'
import { quantizeQ4K, quantizeQ5K, quantizeQ6K } from './quantize-k.ts'
import { quantizeQ2K, quantizeQ3K } from './quantize-low-bits.ts'

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
    Q2_K: quantizeQ2K,
    Q3_K: quantizeQ3K,
    Q4_K: quantizeQ4K,
    Q5_K: quantizeQ5K,
    Q6_K: quantizeQ6K,
    IQ4_NL: quantizeIq4Nl,
    IQ4_XS: quantizeIq4Xs,
    MXFP4: quantizeMxfp4,
  }).map(([name, quantize]) => [name, { ...ggufType(name), quantize }]),
)
