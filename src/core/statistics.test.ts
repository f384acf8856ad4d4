// Expected values: SciPy 1.17 (norm.cdf, t.sf, t.ppf).
import { expect, it } from 'vitest'
import { normalDistribution, studentProbability, studentQuantile } from './index.ts'

it('gives the normal distribution, far out too', () => {
  const table: [number, number][] = [
    [0, 0.5],
    [1, 0.8413447460685429],
    [-1.96, 0.024997895148220435],
    [-4.9, 4.791832765903185e-7],
    [-5.1, 1.6982674071475966e-7],
    [-10, 7.61985302416047e-24],
  ]
  for (const [x, expected] of table) expect(normalDistribution(x) / expected).toBeCloseTo(1, 8)
  expect(normalDistribution(Number.POSITIVE_INFINITY)).toBe(1)
})

it("gives Student's t", () => {
  expect(studentProbability(2, 10)).toBeCloseTo(0.07338803477074, 12)
  expect(studentProbability(0, 4)).toBeCloseTo(1, 12)
  expect(studentProbability(-12.7062047361747, 1)).toBeCloseTo(0.05, 10)
  expect(studentQuantile(0.05, 1)).toBeCloseTo(12.7062047361747, 8)
  expect(studentQuantile(0.05, 9)).toBeCloseTo(2.262157162798205, 10)
  expect(studentQuantile(0.01, 99)).toBeCloseTo(2.626405457280827, 10)
})
