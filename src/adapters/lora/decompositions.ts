// Low-rank factors of a matrix, with which PiSSA, OLoRA and LoftQ initialise LoRA. Independent of layers.
import { cat, type Generator, largestSingular, randn, type Tensor } from '../../tensor/index.ts'

/** Factors whose product `left right` approximates a matrix [outputs,inputs]: [outputs,R] and [R,inputs]. */
export interface LowRankFactors {
  left: Tensor
  right: Tensor
}

/** Divides the singular values equally between orthonormal factors. */
const balanced = (u: Tensor, s: Tensor, v: Tensor): LowRankFactors => {
  const root = s.clamp({ min: 0 }).sqrt() // [R]
  return { left: u.mul(root), right: v.mul(root).t() }
}

/** The best approximation of a rank: singular vectors, with the roots of the singular values. */
export const bestFactors = (matrix: Tensor, rank: number): LowRankFactors => balanced(...largestSingular(matrix, rank))

/**
 * Nearly the best approximation of a rank, by subspace iterations from random vectors.
 * @source arXiv:0909.4061, algorithm 5.1; torch.svd_lowrank
 */
export const sketchedFactors = (
  matrix: Tensor,
  rank: number,
  { iterations, generator }: { iterations: number; generator: Generator },
): LowRankFactors => {
  const [rows, columns] = matrix.shape
  const width = Math.min(rank + oversampling, rows, columns)
  let [basis] = matrix.matmul(randn([columns, width], { generator })).qr() // [rows,width]
  for (let i = 0; i < iterations; i++) {
    const [across] = matrix.t().matmul(basis).qr()
    basis = matrix.matmul(across).qr()[0]
  }
  const [u, s, v] = largestSingular(basis.t().matmul(matrix), rank)
  return balanced(basis.matmul(u), s, v)
}
/** Vectors beyond the rank, which make the sketch more exact. */
const oversampling = 8

/**
 * The first columns of Q and the first rows of R of a QR decomposition, which depend on the first columns of the matrix
 * alone. @source arXiv:2406.01775
 */
export const orthonormalFactors = (matrix: Tensor, rank: number): LowRankFactors => {
  const [left] = matrix.narrow(1, 0, rank).contiguous().qr()
  const columns = matrix.shape[1]
  const first = left
    .t()
    .matmul(matrix.narrow(1, 0, rank))
    .triu()
  return { left, right: cat([first, left.t().matmul(matrix.narrow(1, rank, columns - rank))], 1) }
}
