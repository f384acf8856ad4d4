import { describe, expect, it } from 'vitest'
import { createRandom } from '../core/index.ts'
import { corruptedLengths, corruptSpans, noiseCounts, randomSegments, rowLengthFor } from './span-corruption.ts'

const paper = { noiseShare: 0.15, meanSpanLength: 3 }

describe('corruptSpans', () => {
  it('gives the paper’s example', () => {
    // Thank you [for inviting] me to your party [last] week: Figure 2 of arXiv:1910.10683, words numbered from 10 on.
    const ids = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    const { inputs, targets } = corruptSpans(ids, [2, 4], [2, 1], [99, 98], 1)
    expect([...inputs]).toEqual([10, 11, 99, 14, 15, 16, 17, 98, 19, 1])
    expect([...targets]).toEqual([99, 12, 13, 98, 18, 1])
  })

  it('leaves out the end token if there is none', () => {
    const { inputs, targets } = corruptSpans([5, 6, 7], [2], [1], [9])
    expect([...inputs]).toEqual([5, 6, 9])
    expect([...targets]).toEqual([9, 7])
  })
})

describe('lengths of rows', () => {
  it('makes rows of 568 tokens for inputs of 512, with targets of 114, as the published code', () => {
    expect(rowLengthFor(512, paper, 1)).toEqual({ rowLength: 568, targetLength: 114 })
    expect(corruptedLengths(568, paper, 1)).toEqual({ inputLength: 512, targetLength: 114 })
  })

  it('finds the longest row that fits, for every length', () => {
    for (let input = 5; input < 300; input++) {
      const { rowLength, targetLength } = rowLengthFor(input, paper, 1)
      expect(corruptedLengths(rowLength, paper, 1)).toEqual({
        inputLength: expect.toSatisfy((length: number) => length <= input),
        targetLength,
      })
      expect(corruptedLengths(rowLength + 1, paper, 1).inputLength).toBeGreaterThan(input)
    }
  })

  it('rounds halves to even', () => {
    // 10 * 0.25 = 2.5 -> 2 tokens; 2 / 4 = 0.5 -> 0, then at least one span.
    expect(noiseCounts(10, { noiseShare: 0.25, meanSpanLength: 4 })).toEqual({ tokens: 2, spans: 1 })
    expect(noiseCounts(100, paper)).toEqual({ tokens: 15, spans: 5 })
    expect(noiseCounts(2, paper)).toEqual({ tokens: 1, spans: 1 })
    expect(noiseCounts(10, { noiseShare: 0.9, meanSpanLength: 1 })).toEqual({ tokens: 9, spans: 1 })
  })
})

describe('randomSegments', () => {
  it('makes every composition equally likely', () => {
    const random = createRandom('segments')
    const draws = 6000
    const seen = new Map<string, number>()
    for (let i = 0; i < draws; i++) {
      const key = randomSegments(5, 3, random).join()
      seen.set(key, (seen.get(key) ?? 0) + 1)
    }
    // C(4,2) compositions of 5 in 3 parts; 5 standard deviations of a binomial with p = 1/6.
    expect([...seen.keys()].sort()).toEqual(['1,1,3', '1,2,2', '1,3,1', '2,1,2', '2,2,1', '3,1,1'])
    const bound = 5 * Math.sqrt(draws * (1 / 6) * (5 / 6))
    for (const count of seen.values()) expect(Math.abs(count - draws / 6)).toBeLessThan(bound)
  })

  it('handles the smallest cases', () => {
    expect([...randomSegments(1, 1, createRandom(0))]).toEqual([1])
    expect([...randomSegments(3, 3, createRandom(0))]).toEqual([1, 1, 1])
  })
})
