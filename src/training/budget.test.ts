import { expect, it, test } from 'vitest'
import { runLength } from './budget.ts'

const facts = { examplesPerStep: 4, tokensPerStep: 100, examplesPerEpoch: 30 }
const progress = (step: number, more: object = {}) => ({
  step,
  tokens: 100 * step,
  seconds: step,
  position: 4 * step,
  ...more,
})

it('refuses a run without a budget, and epochs of a mixture', () => {
  expect(() => runLength({}, facts)).toThrow('A run needs a budget')
  expect(() => runLength({ epochs: 1 }, { ...facts, examplesPerEpoch: Number.POSITIVE_INFINITY })).toThrow('A mixture')
})

test('steps', () => {
  const length = runLength({ steps: 5 }, facts)
  expect([0, 4, 5].map((step) => length.done(progress(step)))).toEqual([false, false, true])
  expect([0, 1, 4, 5].map((step) => length.totalSteps(progress(step)))).toEqual([5, 5, 5, 5])
  expect(length.timed).toBe(false)
})

test('tokens: by what a step should take at first, by what steps took later', () => {
  const length = runLength({ tokens: 1000 }, facts)
  expect(length.totalSteps(progress(0))).toBe(10)
  expect(length.totalSteps(progress(4))).toBe(10)
  expect(length.totalSteps(progress(4, { tokens: 200 }))).toBe(20)
  expect(length.done(progress(3, { tokens: 999 }))).toBe(false)
  expect(length.done(progress(3, { tokens: 1000 }))).toBe(true)
  expect(length.totalSteps(progress(3, { tokens: 1000 }))).toBe(3)
})

test('epochs: the last batch reaches the end', () => {
  const length = runLength({ epochs: 1 }, facts)
  expect([0, 1, 7].map((step) => length.totalSteps(progress(step)))).toEqual([8, 8, 8])
  expect([7, 8].map((step) => length.done(progress(step)))).toEqual([false, true])
  // 0.1 * 30 is 3.0000000000000004 examples.
  expect(runLength({ epochs: 0.1 }, { ...facts, examplesPerStep: 1 }).totalSteps(progress(0))).toBe(3)
})

test('minutes: by the speed so far', () => {
  const length = runLength({ minutes: 2 }, facts)
  expect(length.timed).toBe(true)
  expect(length.totalSteps(progress(0, { seconds: 0 }))).toBe(1_000_000)
  expect(length.totalSteps(progress(10))).toBe(120)
  expect(length.done(progress(10, { seconds: 119.9 }))).toBe(false)
  expect(length.done(progress(10, { seconds: 120 }))).toBe(true)
})

test('several: whichever ends first, and never fewer steps than there will have been', () => {
  const length = runLength({ steps: 50, tokens: 1000, epochs: 1, minutes: 1 }, facts)
  expect(length.totalSteps(progress(2))).toBe(8)
  expect(length.totalSteps(progress(7, { position: 29, tokens: 990 }))).toBeGreaterThanOrEqual(8)
})
