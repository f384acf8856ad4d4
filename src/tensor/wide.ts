// Sums whose order must not matter, and singular values, in the widest floating numbers that a device has.
import { widestDtype } from './device.ts'
import { Tensor } from './tensor.ts'

/** The tensor in the widest floating dtype of its device, with a gradient. */
export const widened = (tensor: Tensor): Tensor => tensor.to({ dtype: widestDtype(tensor.device) })

/** Numbers in the widest floating dtype of a device (default: the CPU). */
export const wideTensor = (
  values: Float64Array,
  { shape, device = 'cpu' }: { shape?: readonly number[]; device?: string } = {},
): Tensor =>
  Tensor.from(widestDtype(device) === 'float64' ? values : Float32Array.from(values), {
    ...(shape && { shape }),
    device,
  })

/**
 * The `rank` largest singular values of a matrix [R,C] and their vectors, [R,rank], [rank] and [C,rank], from the
 * eigenvectors of the smaller Gram matrix in float64: faster than a whole decomposition, and as exact for the largest ones.
 */
export const largestSingular = (matrix: Tensor, rank: number): [u: Tensor, s: Tensor, v: Tensor] => {
  const [rows, columns] = matrix.shape
  if (rows > columns) {
    const [v, s, u] = largestSingular(matrix.t(), rank)
    return [u, s, v]
  }
  // float32 would lose half of the digits in the Gram matrix, so the CPU computes for a device without float64.
  const { device } = matrix
  const wide = matrix.to({ device: widestDtype(device) === 'float64' ? device : 'cpu' }).to('float64')
  const [, vectors] = wide.matmul(wide.t()).eigh() // ascending
  const u = vectors.narrow(1, rows - rank, rank).flip([1])
  const scaled = wide.t().matmul(u) // [columns,R]: v s
  const s = scaled.norm(2, 0)
  return [u, s, scaled.div(s.clamp({ min: 1e-300 }))].map((one) => one.to({ dtype: 'float32', device })) as [
    Tensor,
    Tensor,
    Tensor,
  ]
}
