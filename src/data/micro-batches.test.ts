import fc from 'fast-check'
import { expect, it } from 'vitest'
import { planMicroBatches } from './collate.ts'

it('keeps the order without padding, and puts alike lengths together with it', () => {
  expect(planMicroBatches([3, 9, 4, 8], 12, false)).toEqual([
    [0, 1],
    [2, 3],
  ])
  expect(planMicroBatches([3, 9, 4, 8], 18, true)).toEqual([
    [1, 3],
    [2, 0],
  ])
  expect(planMicroBatches([], 10, true)).toEqual([])
})

it('takes every example once, within the limit unless one alone is above it', () => {
  const cases = fc.tuple(fc.array(fc.integer({ min: 1, max: 50 })), fc.integer({ min: 1, max: 120 }), fc.boolean())
  fc.assert(
    fc.property(cases, ([lengths, limit, padded]) => {
      const parts = planMicroBatches(lengths, limit, padded)
      expect(parts.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i))
      for (const part of parts) {
        const sizes = part.map((i) => lengths[i])
        const cost = padded ? Math.max(...sizes) * sizes.length : sizes.reduce((sum, size) => sum + size, 0)
        expect(part.length === 1 || cost <= limit).toBe(true)
      }
    }),
  )
})
