import { expect, it } from 'vitest'
import { IntervalTrigger } from './budget.ts'

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

it('is due at the end of an epoch, unless it was due less than a minute before', () => {
  // Ten examples a step, twenty seconds a step; epochs of 25 and of 95 examples end within steps.
  const dueWith = (perEpoch: number, epochs = 1) => {
    const at = (step: number) => ({ step, tokens: 0, seconds: 20 * step, position: 10 * step })
    const due = new IntervalTrigger({ epochs }, at(0), perEpoch)
    return Array.from({ length: 20 }, (_, i) => i + 1).filter((step) => due.now(at(step)))
  }
  expect(dueWith(95)).toEqual([10, 19])
  expect(dueWith(95, 2)).toEqual([19])
  // Epochs end in the steps 3, 5, 8, 10, 13, 15, 18 and 20.
  expect(dueWith(25)).toEqual([3, 8, 13, 18])
  expect(dueWith(Number.POSITIVE_INFINITY)).toEqual([])
})
