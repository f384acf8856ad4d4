import { expect, it } from 'vitest'
import { resampledMean } from './summary.ts'

it('is the corrected resampled t-test', () => {
  // By hand: mean 0.02, variance (0.0001 + 0.0001 + 0 + 0.0004 + 0.0004) / 4 = 0.00025; over 5 folds the ratio is 1/4, so the
  // error is √((1/5 + 1/4) · 0.00025) = 0.0106066, t = 1.885618, and with 4 degrees of freedom t(95 %) = 2.776445.
  const found = resampledMean([0.01, 0.03, 0.02, 0.04, 0], 0.25)
  expect(found?.value).toBeCloseTo(0.02, 12)
  expect(found?.low).toBeCloseTo(0.02 - 2.776445 * 0.0106066, 6)
  expect(found?.high).toBeCloseTo(0.02 + 2.776445 * 0.0106066, 6)
  expect(found?.probability).toBeCloseTo(0.13244, 4)
})

it('without shared training records is the plain t-test, and undefined for one value', () => {
  const found = resampledMean([1, 3], 0)
  // Two values: mean 2, error 1, t = 2 with one degree of freedom: p = 1 − (2/π)·atan(2).
  expect(found?.probability).toBeCloseTo(1 - (2 / Math.PI) * Math.atan(2), 10)
  expect(resampledMean([1], 0.25)).toBeUndefined()
})

it('is not certain of a few equal values', () => {
  expect(resampledMean([0.5, 0.5], 0.25)).toMatchObject({ value: 0.5, low: 0.5, high: 0.5, probability: 0.5 })
  expect(resampledMean([0, 0, 0], 0.25)?.probability).toBe(1)
  // Differences of accuracies: equal in decimals, not in binary.
  const folds = [0.91 - 0.9, 0.02 - 0.01, 0.71 - 0.7, 0.31 - 0.3, 0.51 - 0.5]
  expect(new Set(folds).size).toBeGreaterThan(1)
  expect(resampledMean(folds, 0.25)?.probability).toBe(0.0625)
})
