import { expect, it } from 'vitest'
import { describeNonFinite, RiseWatch, SpikeWatch } from './incidents.ts'

const nothing = { loss: '2.5', parameters: [], weights: [], examples: [], places: [] }

it('describes which layers and examples are not finite', () => {
  expect(describeNonFinite({ ...nothing, loss: 'NaN' })).toBe('The loss is not finite, though no single example is.')
  expect(describeNonFinite(nothing)).toContain('The norm of all gradients is not finite')
  const paths = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((path) => ({ path, values: 1 }))
  expect(describeNonFinite({ ...nothing, parameters: paths, examples: [3, 4] })).toBe(
    'Gradients of a, b, c, d, e and 2 more are not finite, because of the examples at 3, 4.',
  )
  expect(describeNonFinite({ ...nothing, parameters: [paths[0]], examples: [3], places: ['reviews.csv:18'] })).toBe(
    'Gradients of a are not finite, because of the examples at 3 (reviews.csv:18).',
  )
  expect(describeNonFinite({ ...nothing, weights: ['a'] })).toContain(
    'Weights are not finite: a. Restore an earlier checkpoint.',
  )
})

it('detects a spike once there are enough losses before it', () => {
  const early = new SpikeWatch(Array.from({ length: 31 }, () => 2))
  expect(early.check(1000)).toBeUndefined()
  const watch = new SpikeWatch(Array.from({ length: 64 }, (_, i) => 2 + (i % 2 === 0 ? 0.1 : -0.1)))
  expect(watch.check(2.5)).toBeUndefined()
  expect(watch.check(3)).toBeCloseTo(10, 6)
  expect(watch.check(0)).toBeUndefined()
  expect(watch.check(Number.NaN)).toBeUndefined()
  // A curve without noise has a spread of a hundredth of its height at least.
  expect(new SpikeWatch(Array.from({ length: 64 }, () => 2)).check(2.1)).toBeUndefined()
})

it('keeps the last 64 losses, and continues from those of a checkpoint', () => {
  const watch = new SpikeWatch()
  for (let i = 0; i < 100; i++) watch.add(i)
  expect(watch.window).toEqual(Array.from({ length: 64 }, (_, i) => 36 + i))
  const given = [1, 2]
  new SpikeWatch(given).add(3)
  expect(given).toEqual([1, 2])
})

it('detects a loss that rises far above its start, once, and says so at the end', () => {
  const watch = new RiseWatch()
  // By hand: the mean of the last eight is 347, more than twice the first loss and a nat above it.
  const lines = [0.72, ...Array.from({ length: 12 }, () => 347)].map((loss) => watch.add(loss))
  expect(lines.findIndex((line) => line !== undefined)).toBe(7)
  expect(lines.filter((line) => line !== undefined)).toHaveLength(1)
  expect(watch.warnings()).toEqual([
    'Loss rose far above its start: 0.72 at the first step, 347 on average in the last 8. Lower `learningRate`.',
  ])
})

it('takes neither the noise of small batches nor a short excursion for a rise', () => {
  const noisy = new RiseWatch()
  for (let i = 0; i < 50; i++) expect(noisy.add(0.5 + (i % 3))).toBeUndefined()
  expect(noisy.warnings()).toEqual([])
  const back = new RiseWatch()
  for (const loss of [2, 90, 90, ...Array.from({ length: 9 }, () => 1)]) back.add(loss)
  expect(back.warnings()).toEqual([])
  const negative = new RiseWatch()
  for (const loss of [-3, -2.5, -2.2]) negative.add(loss)
  expect(negative.warnings()).toEqual([])
})
