// The initial bias of new heads: the best prediction without looking at the input.
import { describe, expect, it } from 'vitest'
import type { TaskExample } from '../task.ts'
import { balanceLabels } from './class-loss.ts'
import { addSums, addTargets, noTargets, priorLogits, type RowTargets } from './prior.ts'

type Example = TaskExample & { answers: number[] }
const example = (...answers: number[]) => ({ answers }) as Example
const prior = (rows: Pick<RowTargets, 'kind' | 'outputs' | 'weights'>, ...examples: Example[]) => {
  // Sums of two halves, as of batches.
  const halves = [examples.filter((_, i) => i % 2 === 0), examples.filter((_, i) => i % 2 === 1)].map((half) => {
    const sums = noTargets(rows)
    for (const one of half) addTargets<Example>({ ...rows, targets: ({ answers }) => answers }, sums, one)
    return sums
  })
  addSums(halves[0], halves[1])
  return Array.from(priorLogits(rows, halves[0]))
}

describe('priorLogits', () => {
  it('give the smoothed class frequencies as softmax, without unknown targets', () => {
    const scores = prior({ kind: 'class', outputs: 3 }, example(0, 0, 0, Number.NaN), example(1))
    // Counts and one more: 4, 2, 1 of 7.
    expect(scores.map(Math.exp)).toEqual([4 / 7, 2 / 7, 1 / 7].map((share) => expect.closeTo(share, 6)))
  })

  it('include class weights, so that balanced classes begin equal', () => {
    const scores = prior({ kind: 'class', outputs: 2, weights: Float32Array.of(1, 2) }, example(0, 0, 0), example(1))
    expect(scores[0]).toBeCloseTo(scores[1], 6)
  })

  it('give the log odds of each label, with the weight of its positives', () => {
    const rows = [example(1, 0), example(1, 0), example(0, 0), example(Number.NaN, Number.NaN)]
    const [first, second] = prior({ kind: 'labels', outputs: 2, weights: Float32Array.of(1, 4) }, ...rows)
    expect(first).toBeCloseTo(Math.log(3 / 2), 6)
    expect(second).toBeCloseTo(Math.log((4 * 1) / 4), 6)
  })

  it('are finite for labels that all or no records have', () => {
    const weights = balanceLabels(Float64Array.of(3, 1, 0), 3)
    expect(Array.from(weights)).toEqual([1, 2, 1])
    const rows = [example(1, 1, 0), example(1, 0, 0), example(1, 0, 0)]
    expect(prior({ kind: 'labels', outputs: 3, weights }, ...rows)).toEqual(
      [4 / 1, (2 * 2) / 3, 1 / 4].map((odds) => expect.closeTo(Math.log(odds), 6)),
    )
  })

  it('give the mean of the known numbers', () => {
    expect(prior({ kind: 'number', outputs: 1 }, example(1), example(Number.NaN), example(4))).toEqual([2.5])
    expect(prior({ kind: 'number', outputs: 1 })).toEqual([0])
  })

  it('are zero for choices', () => {
    expect(prior({ kind: 'choice', outputs: 1 }, example(1, 0))).toEqual([0])
  })
})
