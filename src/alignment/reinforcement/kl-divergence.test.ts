// The gradient of each estimator in expectation over the sampled token, against that of the divergence of the two
// distributions, both computed exactly over all tokens.
import { expect, it } from 'vitest'
import { Tensor } from '../../tensor/index.ts'
import { type LossKlEstimator, lossKl, lossKlEstimators, needsRatio } from './kl-divergence.ts'

const scores = [0.3, -1.2, 0.9, 0.1]
const reference = Tensor.from(Float32Array.of(-0.4, 0.5, 0.2, 1.1)).logSoftmax(-1)

const gradientOf = (loss: (logProbs: Tensor) => Tensor): { value: number; gradient: number[] } => {
  const leaf = Tensor.from(Float32Array.from(scores))
  leaf.requiresGrad = true
  const value = loss(leaf.logSoftmax(-1))
  value.backward()
  return { value: value.item(), gradient: [...leaf.grad!.toFloat32Array()] }
}

const exact = gradientOf((logProbs) => logProbs.exp().mul(logProbs.sub(reference)).sum())
/** The mean over sampled tokens: their probabilities are constants. */
const expected = (estimator: LossKlEstimator, corrected: boolean) =>
  gradientOf((logProbs) => {
    const kl = lossKl[estimator](logProbs, reference)
    const ratio = logProbs.sub(logProbs.detach()).exp()
    return logProbs
      .detach()
      .exp()
      .mul(corrected ? kl.mul(ratio) : kl)
      .sum()
  })
const distance = (a: readonly number[], b: readonly number[]) => Math.hypot(...a.map((value, i) => value - b[i]))
const size = Math.hypot(...exact.gradient)

it('k1 and k3 have the value of the divergence, k2 nearly so', () => {
  expect(expected('k1', false).value).toBeCloseTo(exact.value, 5)
  expect(expected('k3', false).value).toBeCloseTo(exact.value, 5)
  expect(expected('k3-k2', false).value).toBeCloseTo(exact.value, 5)
  expect(expected('k2', false).value).not.toBeCloseTo(exact.value, 3)
})

it('k2 and k3-k2 have the gradient of the divergence, k1 has none, and that of k3 is biased', () => {
  expect(distance(expected('k2', false).gradient, exact.gradient)).toBeLessThan(1e-6)
  expect(distance(expected('k3-k2', false).gradient, exact.gradient)).toBeLessThan(1e-6)
  expect(Math.hypot(...expected('k1', false).gradient)).toBeLessThan(1e-6)
  expect(distance(expected('k3', false).gradient, exact.gradient)).toBeGreaterThan(0.1 * size)
})

it('with the ratio, k1 and k3 have the gradient of the divergence too', () => {
  for (const estimator of ['k1', 'k3'] as const)
    expect(distance(expected(estimator, true).gradient, exact.gradient), estimator).toBeLessThan(1e-6)
})

it.each(lossKlEstimators)(
  '%s has the gradient of the divergence as it is used by default, and only so',
  (estimator) => {
    const used = needsRatio[estimator]
    expect(distance(expected(estimator, used).gradient, exact.gradient)).toBeLessThan(1e-6)
    expect(distance(expected(estimator, !used).gradient, exact.gradient)).toBeGreaterThan(0.1 * size)
  },
)

it.each(lossKlEstimators)('%s stays finite for probabilities that are far apart', (estimator) => {
  const far = lossKl[estimator](Tensor.from(Float32Array.of(-200)), Tensor.from(Float32Array.of(-0.1)))
  expect(Number.isFinite(far.item())).toBe(true)
})
