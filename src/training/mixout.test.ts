// Mixout beside its definition, on values that are easy to see.
import { expect, it } from 'vitest'
import { noGrad, type Tensor, tensor } from '../tensor/index.ts'
import { Mixout } from './mixout.ts'

const make = (share: number, seed = 1) => {
  const matrix = tensor(Float32Array.from({ length: 4000 }, (_, i) => i / 1000)).view([40, 100])
  const base = matrix.clone()
  const mixout = new Mixout(new Map([['body.layers.0.mlp.upProj.weight', matrix]]), { share, seed })
  noGrad(() => matrix.add_(1))
  return { matrix, base, trained: matrix.clone(), mixout }
}
const values = (of: Tensor) => [...of.view([-1]).toFloat32Array()]

it('gives elements of the base back, and scales the others so that the mean stays', () => {
  const { matrix, base, trained, mixout } = make(0.7)
  mixout.begin(3)
  const [mixed, before, now] = [matrix, base, trained].map(values)
  const kept = mixed.map((value, i) => {
    const isBase = Math.abs(value - before[i]) < 1e-4
    const wanted = (now[i] - 0.7 * before[i]) / 0.3
    if (!isBase) expect(value).toBeCloseTo(wanted, 3)
    return !isBase
  })
  const share = kept.filter((one) => !one).length / kept.length
  expect(Math.abs(share - 0.7)).toBeLessThan(0.03)
  const mean = mixed.reduce((sum, value, i) => sum + value - now[i], 0) / mixed.length
  expect(Math.abs(mean)).toBeLessThan(0.1)

  const gradient = tensor(new Float32Array(4000).fill(2)).view([40, 100])
  mixout.end(new Map([['body.layers.0.mlp.upProj.weight', gradient]]))
  expect(matrix.equal(trained)).toBe(true)
  for (const [i, value] of values(gradient).entries()) expect(value).toBeCloseTo(kept[i] ? 2 / 0.3 : 0, 4)
})

it('takes its elements from the seed and the step alone', () => {
  const mixedAt = (step: number, seed = 1) => {
    const { matrix, mixout } = make(0.5, seed)
    mixout.begin(step)
    return matrix.clone()
  }
  expect(mixedAt(4).equal(mixedAt(4))).toBe(true)
  expect(mixedAt(4).equal(mixedAt(5))).toBe(false)
  expect(mixedAt(4).equal(mixedAt(4, 2))).toBe(false)
})
