import { describe, expect, it } from 'vitest'
import { countDrop, DropSampler, emptyCounts, excerpt, maxSamplesPerReason, mergeCounts } from './stage-counts.ts'

const document = (id: string) => ({
  id,
  text: `text of ${id}`,
  source: { kind: 'jsonl', path: 'p', offset: 0 },
  metadata: {},
})

describe('mergeCounts', () => {
  it('sums by stage in order of appearance, with reasons sorted', () => {
    const one = { ...emptyCounts('a', ['y', 'x']), documentsIn: 3, documentsOut: 2, bytesIn: 30, bytesOut: 20 }
    countDrop(one, 'y')
    const two = { ...emptyCounts('a'), documentsIn: 1 }
    countDrop(two, 'b')
    const merged = mergeCounts([[one, emptyCounts('b')], [two]])
    expect(merged.map(({ stage }) => stage)).toEqual(['a', 'b'])
    expect(merged[0]).toMatchObject({ documentsIn: 4, documentsOut: 2, bytesIn: 30, dropped: { b: 1, x: 0, y: 1 } })
    expect(Object.keys(merged[0]!.dropped)).toEqual(['b', 'x', 'y'])
  })

  it('counts reasons that objects inherit', () => {
    const counts = emptyCounts('a')
    countDrop(counts, 'constructor')
    expect(counts.dropped).toEqual({ constructor: 1 })
  })
})

describe('SampleKeeper', () => {
  it('chooses the same documents in any order and however the work is split', () => {
    const ids = Array.from({ length: 200 }, (_, index) => `d${index}`)
    const all = new DropSampler()
    for (const id of ids) all.offer('s', 'r', document(id), undefined)
    const halves = new DropSampler()
    for (const part of [ids.slice(120).reverse(), ids.slice(0, 120)]) {
      const half = new DropSampler()
      for (const id of part) half.offer('s', 'r', document(id), undefined)
      halves.merge(half.samples())
    }
    expect(all.samples()).toHaveLength(maxSamplesPerReason)
    expect(halves.samples()).toEqual(all.samples())
  })
})

describe('excerpt', () => {
  it('does not cut a character in two', () => {
    const text = `${'a'.repeat(299)}😀 and more`
    expect(excerpt(text)).toBe(`${'a'.repeat(299)}…`)
    expect(excerpt('short')).toBe('short')
  })
})
