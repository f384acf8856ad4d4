// Expected values: SciPy 1.17.1, ttest_ind(a, b, equal_var=False) and its confidence_interval().
import { expect, it } from 'vitest'
import { seedDifference } from './summary.ts'

it("is Welch's t-test", () => {
  const table: [number[], number[], { probability: number; low: number; high: number }][] = [
    [
      [0.9, 0.92, 0.91],
      [0.8, 0.85, 0.9],
      { probability: 0.1689034675625472, low: -0.058098910920710525, high: 0.17809891092071062 },
    ],
    [
      [0.9, 0.92, 0.91],
      [0.8, 0.81, 0.83],
      { probability: 0.0015337449145589738, low: 0.06545782714771081, high: 0.12787550618562255 },
    ],
    [
      [1, 2, 3, 4],
      [2.5, 2.6, 2.7],
      { probability: 0.8870233451088358, low: -2.144245078576687, high: 1.944245078576687 },
    ],
  ]
  for (const [a, b, expected] of table) {
    const found = seedDifference(a, b)
    expect(found?.probability).toBeCloseTo(expected.probability, 10)
    expect(found?.low).toBeCloseTo(expected.low, 9)
    expect(found?.high).toBeCloseTo(expected.high, 9)
  }
})

it('says nothing below three seeds each, and of seeds that change nothing', () => {
  expect(seedDifference([0.9, 0.91], [0.1, 0.11, 0.12])).toBeUndefined()
  expect(seedDifference([0.9, 0.9, 0.9], [0.1, 0.1, 0.1])).toBeUndefined()
})

it('calls few equal settings different', () => {
  // A random number generator of its own makes the share the same in every run; in expectation it is below 5 %.
  let state = 1
  const uniform = () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
  const seeds = () => [normal(), normal(), normal()]
  const trials = 2000
  let different = 0
  for (let i = 0; i < trials; i++) if ((seedDifference(seeds(), seeds())?.probability ?? 1) < 0.05) different += 1
  expect(different / trials).toBeLessThan(0.05)
})
