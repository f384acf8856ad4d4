import { describe, expect, it } from 'vitest'
import { sizeRule } from '../pretrain/recipe.ts'
import { expectBatchFits, expectModelFits, leastParameters } from './run-limits.ts'

const gigabytes = (count: number) => count * 2 ** 30

describe('a batch', () => {
  it('that fits is accepted', () => {
    expect(() => expectBatchFits({ sequences: 4096 }, 512, gigabytes(8))).not.toThrow()
    expect(() => expectBatchFits({ tokens: 524_288 }, 512, gigabytes(8))).not.toThrow()
  })

  it('whose examples fill the memory is refused with the nearest that fits', () => {
    expect(() => expectBatchFits({ sequences: 1e12 }, 64, gigabytes(8))).toThrow(
      /^Expected at most \d+00 for `batch\.sequences`, got 1000000000000: the examples of one step would take about .*, and this machine has 8 GiB\.$/,
    )
    expect(() => expectBatchFits({ tokens: 1e14 }, 64, gigabytes(8))).toThrow(/for `batch\.tokens`/)
  })
})

describe('a model', () => {
  const sizeOf = (depth: number) => {
    const { hiddenSize } = sizeRule(depth)
    return { hiddenSize, numLayers: depth, vocabSize: 8192, intermediateSize: 4 * hiddenSize }
  }

  it('that fits is accepted', () => {
    expect(() => expectModelFits(sizeOf(12), { name: 'model.depth', value: 12, sizeOf }, gigabytes(16))).not.toThrow()
  })

  it('whose layers share their weights is counted by its distinct layers', () => {
    // ALBERT xxlarge has 223 million parameters (arXiv:1909.11942, table 1), at 12 times as many computed layers.
    const size = { hiddenSize: 4096, numLayers: 12, vocabSize: 30_000, intermediateSize: 16_384, embeddingSize: 128 }
    const least = leastParameters({ ...size, layerGroups: 1 })
    expect(least).toBeLessThan(223e6)
    expect(least).toBeGreaterThan(150e6)
    expect(leastParameters(size)).toBeGreaterThan(11 * least)
  })

  it('that cannot fit is refused with the numbers and the depth that fits', () => {
    const refused = () => expectModelFits(sizeOf(100), { name: 'model.depth', value: 100, sizeOf }, gigabytes(16))
    expect(refused).toThrow(/got 100 for `model\.depth`: at least .* parameters, .* there are 16 GiB/)
    const depth = Number(/Set `model\.depth` to (\d+) or less/.exec(String(catchError(refused)))?.[1])
    expect(8 * leastParameters(sizeOf(depth))).toBeLessThanOrEqual(gigabytes(16))
    expect(8 * leastParameters(sizeOf(depth + 1))).toBeGreaterThan(gigabytes(16))
  })
})

const catchError = (work: () => void): unknown => {
  try {
    work()
  } catch (error) {
    return error
  }
  return undefined
}
