// A quantised matrix: 8 or 4 bits an element, not trained. Independent of layers.
import {
  keep,
  noGrad,
  packedLinear,
  packInt8,
  packNf4,
  packScales,
  type Tensor,
  unpackMatrix,
} from '../tensor/index.ts'

/** Codes of a matrix, and their scales, which may be quantised themselves. */
type Packed = { codes: Tensor; scales: Tensor[] }

const doubled = (matrix: Tensor): Packed => {
  const [codes, scales] = packNf4(matrix)
  return { codes, scales: packScales(scales) }
}
const single = ([codes, scales]: [Tensor, Tensor]): Packed => ({ codes, scales: [scales] })

/**
 * Formats: int8 with a scale for each row; nf4, 4 bits with a scale for every 64 elements; nf4-double, whose scales are
 * quantised to 8 bits too. @source arXiv:2208.07339, arXiv:2305.14314
 */
const quantizers = {
  int8: (matrix: Tensor) => single(packInt8(matrix)),
  nf4: (matrix: Tensor) => single(packNf4(matrix)),
  'nf4-double': doubled,
} satisfies Record<string, (matrix: Tensor) => Packed>
/** Name of a format. */
export type MatrixFormat = keyof typeof quantizers
/** All formats. */
export const matrixFormats = Object.keys(quantizers) as MatrixFormat[]

/** A quantised matrix [outputs, inputs], bit-identical to that of bitsandbytes for the same floats. */
export class QuantizedMatrix {
  readonly shape: readonly [outputs: number, inputs: number]
  readonly codes: Tensor
  readonly scales: readonly Tensor[]

  /** @param matrix float32 or bfloat16 on the CPU, with finite elements */
  constructor(matrix: Tensor, format: MatrixFormat) {
    const { codes, scales } = noGrad(() => quantizers[format](matrix))
    this.shape = [matrix.shape[0], matrix.shape[1]]
    this.codes = keep(codes)
    this.scales = scales.map(keep)
  }

  /** `x Mᵀ + bias`, [..., inputs] -> [..., outputs], without a dequantised copy, in forward and backward. */
  multiply(input: Tensor, bias: Tensor | null): Tensor {
    return packedLinear(input, this.codes, this.scales, this.shape[0], bias)
  }

  /** All tensors that it is made of. */
  get tensors(): readonly Tensor[] {
    return [this.codes, ...this.scales]
  }

  /** A float32 copy. */
  dequantize(): Tensor {
    return unpackMatrix(this.codes, this.scales, ...this.shape)
  }
}
