import { describe, expect, test } from 'vitest'
import { collatePadded, collateUnpadded } from './collate.ts'
import type { Row } from './sampler.ts'

const rows: Row[] = [
  { ids: Uint16Array.of(5, 6, 7), starts: [0, 2], part: 0 },
  { ids: Uint16Array.of(8), starts: [0], part: 0 },
]

describe('collatePadded', () => {
  test('pads on the right to the length of the longest row, rounded up', () => {
    const batch = collatePadded(rows, { padId: 9, multipleOf: 4 })
    expect([batch.batchSize, batch.length]).toEqual([2, 4])
    expect([...batch.inputIds]).toEqual([5, 6, 7, 9, 8, 9, 9, 9])
    expect([...batch.attentionMask]).toEqual([1, 1, 1, 0, 1, 0, 0, 0])
    expect([...batch.documents]).toEqual([0, 0, 1, -1, 0, -1, -1, -1])
    expect([...batch.positions]).toEqual([0, 1, 2, 0, 0, 0, 0, 0])
  })

  test('pads on the left, with positions that restart at each document', () => {
    const batch = collatePadded(rows, { padId: 0, side: 'left', separateDocuments: true })
    expect([...batch.inputIds]).toEqual([5, 6, 7, 0, 0, 8])
    expect([...batch.positions]).toEqual([0, 1, 0, 0, 0, 0])
    expect([...batch.attentionMask]).toEqual([1, 1, 1, 0, 0, 1])
  })

  test('throws for a row that is too long and for invalid rows', () => {
    expect(() => collatePadded(rows, { padId: 0, length: 2 })).toThrow(/at most 2 tokens, got one of 3/)
    expect(() => collatePadded([{ ids: new Uint16Array(0), starts: [], part: 0 }], { padId: 0 })).toThrow(
      /non-empty rows/,
    )
    expect(() => collatePadded([{ ids: Uint16Array.of(1, 2), starts: [0, 2], part: 0 }], { padId: 0 })).toThrow(
      /ascending/,
    )
  })
})

describe('collateUnpadded', () => {
  test('concatenates rows', () => {
    const batch = collateUnpadded(rows)
    expect([...batch.inputIds]).toEqual([5, 6, 7, 8])
    expect([...batch.starts]).toEqual([0, 3, 4])
    expect([...batch.positions]).toEqual([0, 1, 2, 0])
    expect(batch.maxLength).toBe(3)
  })

  test('makes each document a sequence with separateDocuments', () => {
    const batch = collateUnpadded(rows, { separateDocuments: true })
    expect([...batch.starts]).toEqual([0, 2, 3, 4])
    expect([...batch.positions]).toEqual([0, 1, 0, 0])
    expect([...batch.rows]).toEqual([0, 0, 1])
    expect(batch.maxLength).toBe(2)
  })
})
