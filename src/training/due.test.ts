import { expect, it } from 'vitest'
import { Due } from './due.ts'

const at = (step: number) => ({ step, tokens: 10 * step, seconds: step })
const steps = (due: Due, from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => from + i + 1).filter((step) => due.now(at(step)))

it('is due at multiples of steps, tokens and minutes', () => {
  expect(steps(new Due({ steps: 3 }, at(0)), 0, 10)).toEqual([3, 6, 9])
  expect(steps(new Due({ tokens: 25 }, at(0)), 0, 10)).toEqual([3, 5, 8, 10])
  expect(steps(new Due({ minutes: 0.1 }, at(0)), 0, 13)).toEqual([6, 12])
  expect(steps(new Due({ steps: 4, tokens: 30 }, at(0)), 0, 8)).toEqual([3, 4, 6, 8])
  expect(steps(new Due({}, at(0)), 0, 10)).toEqual([])
})

it('is due at the same steps wherever a run goes on', () => {
  for (let from = 0; from < 10; from++)
    expect(steps(new Due({ steps: 3, tokens: 40 }, at(from)), from, 12)).toEqual(
      [3, 4, 6, 8, 9, 12].filter((step) => step > from),
    )
})

it('counts on when its owner counts on in the same object', () => {
  const standing = { ...at(0) }
  const due = new Due({ steps: 1 }, standing)
  standing.step++
  expect(due.now(standing)).toBe(true)
  standing.step++
  expect(due.now(standing)).toBe(true)
})
