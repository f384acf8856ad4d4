import { expect, it } from 'vitest'
import { joinMetrics } from './objective.ts'

it('adds means of two parts of a batch, and keeps the largest of values that are no means', () => {
  expect(joinMetrics(undefined, { sum: 3, weight: 2 })).toEqual({ sum: 3, weight: 2 })
  expect(joinMetrics({ sum: 3, weight: 2 }, { sum: 1, weight: 6 })).toEqual({ sum: 4, weight: 8 })
  const largest = (sum: number) => ({ sum, weight: 1, largest: true })
  expect(joinMetrics(largest(3), largest(1))).toEqual(largest(3))
  expect(joinMetrics(largest(3), largest(5))).toEqual(largest(5))
  // A value that is not a number must not be lost.
  expect(joinMetrics(largest(Number.NaN), largest(5)).sum).toBeNaN()
})
