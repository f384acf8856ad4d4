// A matrix that is no longer trained, held in 8 or 4 bits an element. Knows no layer.
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

/** Codes of a matrix, and their scales, which may be codes themselves. */
type Packed = { codes: Tensor; scales: Tensor[] }

const doubled = (matrix: Tensor): Packed => {
  const [codes, scales] = packNf4(matrix)
  return { codes, scales: packScales(scales) }
}
const single = ([codes, scales]: [Tensor, Tensor]): Packed => ({ codes, scales: [scales] })

/**
 * Ways of holding a matrix: int8 with a scale for each row; nf4, a code of 4 bits with a scale for every 64 elements; the same with
 * those scales in 8 bits. @source arXiv:2208.07339, arXiv:2305.14314
 */
const packings = {
  int8: (matrix: Tensor) => single(packInt8(matrix)),
  nf4: (matrix: Tensor) => single(packNf4(matrix)),
  'nf4-double': doubled,
} satisfies Record<string, (matrix: Tensor) => Packed>
export type Packing = keyof typeof packings
export const packingNames = Object.keys(packings) as Packing[]

/** [outputs, inputs]. The same floats give the same bits as in bitsandbytes. */
export class FrozenMatrix {
  readonly shape: readonly [outputs: number, inputs: number]
  readonly codes: Tensor
  readonly scales: readonly Tensor[]

  /** @param matrix float32 or bfloat16 on the CPU, with finite values */
  constructor(matrix: Tensor, packing: Packing) {
    const { codes, scales } = noGrad(() => packings[packing](matrix))
    this.shape = [matrix.shape[0], matrix.shape[1]]
    this.codes = keep(codes)
    this.scales = scales.map(keep)
  }

  /** `x Mᵀ + bias`, [..., inputs] -> [..., outputs]; no float copy of the matrix is made, here or in the backward pass. */
  multiply(input: Tensor, bias: Tensor | null): Tensor {
    return packedLinear(input, this.codes, this.scales, this.shape[0], bias)
  }

  /** A float32 copy. */
  unpacked(): Tensor {
    return unpackMatrix(this.codes, this.scales, ...this.shape)
  }
}
