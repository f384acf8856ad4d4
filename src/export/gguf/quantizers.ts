// The quantised types that GGUF files are written with.
import { type GgufType, ggufType } from '../../checkpoint/index.ts'
import { type Quantize, quantizeQ40, quantizeQ41, quantizeQ50, quantizeQ51, quantizeQ80 } from './quantize.ts'
import { quantizeIq4Nl, quantizeIq4Xs, quantizeMxfp4 } from './quantize-codebook.ts'
import { quantizeQ4K, quantizeQ5K, quantizeQ6K } from './quantize-k.ts'
import { quantizeQ2K, quantizeQ3K } from './quantize-low-bits.ts'
import {
  type WeightedQuantize,
  weightedIq4Nl,
  weightedIq4Xs,
  weightedQ2K,
  weightedQ3K,
  weightedQ4K,
  weightedQ5K,
  weightedQ6K,
  weightedQ40,
  weightedQ41,
  weightedQ50,
  weightedQ51,
} from './quantize-weighted.ts'

/** A quantised type, with the sizes that files are read by. */
export interface Quantizer extends Pick<GgufType, 'blockSize' | 'blockBytes'> {
  /** ggml's number of the type. */
  code: number
  quantize: Quantize
  /** With an importance matrix; absent where ggml does not use one. */
  weighted?: WeightedQuantize
}

const methods: Record<string, [Quantize, WeightedQuantize?]> = {
  Q4_0: [quantizeQ40, weightedQ40],
  Q4_1: [quantizeQ41, weightedQ41],
  Q5_0: [quantizeQ50, weightedQ50],
  Q5_1: [quantizeQ51, weightedQ51],
  Q8_0: [quantizeQ80],
  Q2_K: [quantizeQ2K, weightedQ2K],
  Q3_K: [quantizeQ3K, weightedQ3K],
  Q4_K: [quantizeQ4K, weightedQ4K],
  Q5_K: [quantizeQ5K, weightedQ5K],
  Q6_K: [quantizeQ6K, weightedQ6K],
  IQ4_NL: [quantizeIq4Nl, weightedIq4Nl],
  IQ4_XS: [quantizeIq4Xs, weightedIq4Xs],
  MXFP4: [quantizeMxfp4],
}

/** Quantised types by ggml's name. */
export const quantizers: Readonly<Record<string, Quantizer>> = Object.fromEntries(
  Object.entries(methods).map(([name, [quantize, weighted]]) => [name, { ...ggufType(name), quantize, weighted }]),
)
