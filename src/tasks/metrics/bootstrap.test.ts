import { expect, test } from 'vitest'
import { createRandom } from '../../core/index.ts'
import { bootstrapMean, bootstrapRatio } from './bootstrap.ts'

test('the value is the ratio of sums, not the mean of ratios', () => {
  expect(bootstrapRatio([1, 3], [1, 9]).value).toBeCloseTo(0.4, 12)
  expect(
    bootstrapMean([
      { numerators: [1], denominators: [2] },
      { numerators: [1, 1], denominators: [1, 1] },
    ]).value,
  ).toBe(0.75)
})

test('the interval of a mean is about 1.96 standard errors wide on each side', () => {
  const random = createRandom(5)
  const values = Array.from({ length: 400 }, () => random.normal())
  const mean = values.reduce((sum, value) => sum + value, 0) / 400
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 400)
  const ones = values.map(() => 1)
  const { low, high, value } = bootstrapRatio(values, ones, { resamples: 4000 })
  expect(value).toBeCloseTo(mean, 12)
  expect((high - low) / 2 / (deviation / 20)).toBeCloseTo(1.96, 0.9)
  const narrow = bootstrapRatio(values, ones, { confidence: 0.5 })
  expect((narrow.high - narrow.low) / (high - low)).toBeCloseTo(0.674 / 1.96, 1)
})

test('the interval contains the true mean about as often as the confidence level', () => {
  const random = createRandom(6)
  let held = 0
  for (let run = 0; run < 300; run++) {
    const values = Array.from({ length: 60 }, () => random.normal() + 2)
    const { low, high } = bootstrapRatio(
      values,
      values.map(() => 1),
      { seed: run, resamples: 300 },
    )
    if (low <= 2 && 2 <= high) held += 1
  }
  expect(held / 300).toBeGreaterThan(0.9)
  expect(held / 300).toBeLessThan(0.985)
})

test('one seed gives one interval', () => {
  const values = [1, 2, 3, 4, 5]
  const ones = [1, 1, 1, 1, 1]
  expect(bootstrapRatio(values, ones, { seed: 1 })).toEqual(bootstrapRatio(values, ones, { seed: 1 }))
  expect(bootstrapRatio(values, ones, { seed: 1, resamples: 11 })).not.toEqual(
    bootstrapRatio(values, ones, { seed: 2, resamples: 11 }),
  )
})

test('many units are grouped, which is fast and gives the same interval', () => {
  const random = createRandom(7)
  const values = Float64Array.from({ length: 200_000 }, () => random.normal())
  const started = performance.now()
  const { low, high } = bootstrapRatio(
    values,
    values.map(() => 1),
  )
  expect(performance.now() - started).toBeLessThan(5000)
  expect((high - low) / 2 / (1 / Math.sqrt(200_000))).toBeCloseTo(1.96, 0)
})

test('a single unit has no interval, and units without weight are left out', () => {
  expect(bootstrapRatio([2], [4])).toEqual({ value: 0.5, low: Number.NaN, high: Number.NaN })
  const { low, high } = bootstrapRatio([1, 0], [2, 0])
  expect([low, high]).toEqual([0.5, 0.5])
})

test('a stratum is resampled on its own', () => {
  const certain = { numerators: [1, 1, 1], denominators: [1, 1, 1] }
  const never = { numerators: [0, 0], denominators: [1, 1] }
  expect(bootstrapMean([certain, never])).toEqual({ value: 0.5, low: 0.5, high: 0.5 })
})
