// Decompositions by their defining equations, since signs of their factors are free.
import { describe, expect, it } from 'vitest'
import { eye, Generator, noGrad, randn, type Tensor } from '../../tensor/index.ts'
import { bestFactors, orthonormalFactors, sketchedFactors } from './initialize.ts'

const apart = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item()
const distance = (a: Tensor, b: Tensor) => a.sub(b).norm().item()

describe.each([
  [9, 6],
  [5, 12],
  [7, 7],
])('a matrix [%d,%d]', (rows, columns) => {
  const matrix = randn([rows, columns], { generator: new Generator(1) })

  it('has eigenvectors and a QR decomposition that give it back', () => {
    const gram = matrix.matmul(matrix.t())
    const [values, vectors] = gram.eigh()
    expect(apart(vectors.mul(values).matmul(vectors.t()), gram)).toBeLessThan(5e-5)
    expect(apart(vectors.t().matmul(vectors), eye(rows))).toBeLessThan(5e-5)
    const [q, r] = matrix.qr()
    expect(apart(q.matmul(r), matrix)).toBeLessThan(5e-5)
    expect(apart(r, r.triu())).toBe(0)
  })

  it('is approximated better by factors of a higher rank, and exactly by those of the full rank', () => {
    const full = Math.min(rows, columns)
    const errors = Array.from({ length: full }, (_, i) => {
      const { left, right } = bestFactors(matrix, i + 1)
      // Balanced: both factors have the roots of the singular values.
      expect(apart(left.t().matmul(left), right.matmul(right.t()))).toBeLessThan(1e-5)
      return distance(left.matmul(right), matrix)
    })
    for (const [i, error] of errors.entries()) if (i > 0) expect(error).toBeLessThan(errors[i - 1])
    expect(errors.at(-1)).toBeLessThan(1e-5)
    // No other factors of the rank are nearer (Eckart-Young): the error is that of the singular values left out.
    const all = matrix.matmul(matrix.t()).eigh()[0].flip([0]).clamp({ min: 0 })
    expect(errors[1]).toBeCloseTo(
      Math.sqrt(
        all
          .narrow(0, 2, rows - 2)
          .sum()
          .item(),
      ),
      4,
    )
  })

  it('is approximated nearly as well by subspace iterations', () => {
    const { left, right } = bestFactors(matrix, 2)
    const sketch = sketchedFactors(matrix, 2, { iterations: 4, generator: new Generator(3) })
    expect(distance(sketch.left.matmul(sketch.right), left.matmul(right))).toBeLessThan(1e-3)
  })

  it('has the first columns and rows of its QR decomposition', () => {
    const { left, right } = noGrad(() => orthonormalFactors(matrix, 3))
    const [q, r] = matrix.qr()
    expect(apart(left, q.narrow(1, 0, 3))).toBeLessThan(1e-5)
    expect(apart(right, r.narrow(0, 0, 3))).toBeLessThan(1e-5)
  })
})
