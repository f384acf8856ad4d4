// A quantised matrix: 8 or 4 bits an element, not trained. Independent of layers.
import {
  keep,
  noGrad,
  packedLinear,
  packedLowRankLinear,
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
export const matrixFormats = Object.keys(quantizers) as MatrixFormat[]

/** A change `scale · (x aᵀ) bᵀ` of a product, with a [R,inputs] and b [outputs,R]. */
export interface LowRankChange {
  a: Tensor
  b: Tensor
  scale: number
}

/** A quantised matrix [outputs, inputs], bit-identical to that of bitsandbytes for the same floats. */
export class QuantizedMatrix {
  readonly shape: readonly [outputs: number, inputs: number]
  #codes: Tensor
  #scales: readonly Tensor[]

  /** @param matrix float32 or bfloat16 with finite elements; it is quantised on the CPU and stays on its device */
  constructor(matrix: Tensor, format: MatrixFormat) {
    const { codes, scales } = noGrad(() => quantizers[format](matrix.to({ device: 'cpu' })))
    this.shape = [matrix.shape[0], matrix.shape[1]]
    this.#codes = keep(codes)
    this.#scales = scales.map(keep)
    if (matrix.device !== 'cpu') this.move(matrix.device)
  }

  /** int8 [outputs, inputs], or two 4-bit codes in a byte. */
  get codes(): Tensor {
    return this.#codes
  }

  /** float32 scales; or their codes, the scales of those, and their mean. */
  get scales(): readonly Tensor[] {
    return this.#scales
  }

  /** Moves it to a device, and frees its memory on the old one. Other devices than the CPU dequantise it for each product. */
  move(device: string): void {
    const before = this.tensors
    const [codes, ...scales] = noGrad(() => before.map((one) => keep(one.to({ device }))))
    // Else they are other names of the same memory.
    if (codes.device === this.#codes.device) return
    this.#codes = codes
    this.#scales = scales
    for (const one of before) one.free()
  }

  /** `x Mᵀ + bias`, [..., inputs] -> [..., outputs], on the CPU without a dequantised copy, in forward and backward. */
  multiply(input: Tensor, bias: Tensor | null): Tensor {
    return packedLinear(input, this.codes, this.scales, this.shape[0], bias)
  }

  /** The same with a low-rank change, in one operator. */
  multiplyWithLowRank(input: Tensor, { a, b, scale }: LowRankChange, bias: Tensor | null): Tensor {
    return packedLowRankLinear(input, this.codes, this.scales, this.shape[0], a, b, scale, bias)
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
