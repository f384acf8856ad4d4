import { expect, it } from 'vitest'
import { IntervalTrigger } from './interval-trigger.ts'

const at = (step: number) => ({ step, tokens: 10 * step, seconds: step })
const steps = (due: IntervalTrigger, from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => from + i + 1).filter((step) => due.now(at(step)))

it('is due at multiples of steps, tokens and minutes', () => {
  expect(steps(new IntervalTrigger({ steps: 3 }, at(0)), 0, 10)).toEqual([3, 6, 9])
  expect(steps(new IntervalTrigger({ tokens: 25 }, at(0)), 0, 10)).toEqual([3, 5, 8, 10])
  expect(steps(new IntervalTrigger({ minutes: 0.1 }, at(0)), 0, 13)).toEqual([6, 12])
  expect(steps(new IntervalTrigger({ steps: 4, tokens: 30 }, at(0)), 0, 8)).toEqual([3, 4, 6, 8])
  expect(steps(new IntervalTrigger({}, at(0)), 0, 10)).toEqual([])
})

it('is due at the same steps wherever a run goes on', () => {
  for (let from = 0; from < 10; from++)
    expect(steps(new IntervalTrigger({ steps: 3, tokens: 40 }, at(from)), from, 12)).toEqual(
      [3, 4, 6, 8, 9, 12].filter((step) => step > from),
    )
})

it('counts on when its owner counts on in the same object', () => {
  const progress = { ...at(0) }
  const due = new IntervalTrigger({ steps: 1 }, progress)
  progress.step++
  expect(due.now(progress)).toBe(true)
  progress.step++
  expect(due.now(progress)).toBe(true)
})
