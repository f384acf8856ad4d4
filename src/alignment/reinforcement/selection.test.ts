import { describe, expect, it } from 'vitest'
import { createRandom } from '../../core/index.ts'
import {
  bestAndWorst,
  bestOfN,
  bestOfNKl,
  type Candidate,
  expectedBestOf,
  passAtK,
  raftSelection,
  rejectionSample,
} from './selection.ts'

const candidates: Candidate[] = [
  { group: 0, score: 1, key: 'a' },
  { group: 1, score: null },
  { group: 0, score: 3, key: 'b' },
  { group: 0, score: 3, key: 'b' },
  { group: 1, score: null },
  { group: 2, score: 0.5 },
  { group: 2, score: 0.5 },
]

describe('choosing', () => {
  it('bestOfN takes the best of each prompt, the first of equal ones', () => {
    expect(bestOfN(candidates)).toEqual([2, 5])
  })

  it('raftSelection keeps distinct answers of at least a score', () => {
    expect(raftSelection(candidates)).toEqual([2, 5])
    expect(raftSelection(candidates, { keep: 9 })).toEqual([2, 0, 5, 6])
    expect(raftSelection(candidates, { keep: 9, minScore: 1 })).toEqual([2, 0])
  })

  it('bestAndWorst drops ties and prompts without two scored answers', () => {
    expect(bestAndWorst(candidates)).toEqual([{ chosen: 2, rejected: 0 }])
  })

  it('rejectionSample accepts by exp((score − best) / beta)', () => {
    const scores = [{ score: 0 }, { score: 1 }, { score: null }]
    const trials = 4000
    let firstIsBest = 0
    for (let i = 0; i < trials; i++) {
      const [first] = rejectionSample(scores, [0, 1, 2], { count: 1, beta: 1, random: createRandom(i) })
      if (first === 1) firstIsBest++
    }
    // Answer 0 is offered first and accepted with probability 1/e; otherwise answer 1 always is.
    const expected = 1 - Math.exp(-1)
    expect(Math.abs(firstIsBest / trials - expected)).toBeLessThan(5 * Math.sqrt((expected * (1 - expected)) / trials))
    const all = rejectionSample(scores, [0, 1, 2], { count: 9, beta: 0.01, random: createRandom(1) })
    expect([...all].sort()).toEqual([0, 1])
  })
})

/** All subsets of size k. */
const subsets = (values: readonly number[], k: number): number[][] =>
  k === 0 ? [[]] : values.flatMap((value, i) => subsets(values.slice(i + 1), k - 1).map((rest) => [value, ...rest]))

describe('estimates', () => {
  it('expectedBestOf is the mean over all subsets', () => {
    const scores = [0.3, -1, 2, 2, 0.5, 7]
    for (const k of [1, 2, 3, 6]) {
      const all = subsets(scores, k).map((subset) => Math.max(...subset))
      expect(expectedBestOf(scores, k)).toBeCloseTo(all.reduce((sum, value) => sum + value, 0) / all.length, 10)
    }
    expect(() => expectedBestOf(scores, 7)).toThrow('Expected a whole number from 1 to 6')
  })

  it('passAtK is the share of subsets with a correct answer', () => {
    const right = [1, 1, 0, 0, 0, 0, 0]
    for (const k of [1, 2, 5, 6, 7]) {
      const all = subsets(right, k).map((subset) => Math.max(...subset))
      expect(passAtK(2, 7, k)).toBeCloseTo(all.reduce((sum, value) => sum + value, 0) / all.length, 10)
    }
    expect(passAtK(0, 7, 3)).toBe(0)
    expect(passAtK(7, 7, 3)).toBe(1)
  })

  it('bestOfNKl bounds the divergence of the best of n', () => {
    expect(bestOfNKl(1)).toBe(0)
    expect(bestOfNKl(4)).toBeCloseTo(Math.log(4) - 0.75, 12)
    // Uniform answers with distinct scores: the divergence is computed exactly, and nears the bound as they become more.
    const exact = (answers: number, n: number) => {
      let sum = 0
      for (let i = 1; i <= answers; i++) {
        const p = (i / answers) ** n - ((i - 1) / answers) ** n
        sum += p * Math.log(p * answers)
      }
      return sum
    }
    expect(exact(5, 4)).toBeLessThan(bestOfNKl(4))
    expect(exact(5000, 4)).toBeCloseTo(bestOfNKl(4), 3)
  })
})
