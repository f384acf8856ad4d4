import { describe, expect, it } from 'vitest'
import { expectLength, layOut } from './row-layout.ts'

const row = { ids: Uint16Array.of(10, 11, 12, 20, 21, 30), starts: [0, 3, 5], part: 0 }
const cls = 1
const sep = 2
const plain = (layout: ReturnType<typeof layOut>) => ({ ...layout, ids: [...layout.ids] })

describe('layOut', () => {
  it('adds start and end tokens to every document', () => {
    const options = { separate: true, open: cls, close: sep, closes: 'all', limit: 20 } as const
    expect(plain(layOut(row, options))).toEqual({
      ids: [1, 10, 11, 12, 2, 1, 20, 21, 2, 1, 30, 2],
      starts: [0, 5, 9],
      documents: [0, 5, 9],
      cut: 0,
    })
    expect(plain(layOut(row, { ...options, separate: false }))).toEqual({
      ids: [1, 10, 11, 12, 2, 20, 21, 2, 30, 2],
      starts: [0],
      documents: [0, 5, 8],
      cut: 0,
    })
  })

  it('truncates at the limit, with an end token after what it keeps', () => {
    const options = { separate: true, open: cls, close: sep, closes: 'all' } as const
    expect(plain(layOut(row, { ...options, limit: 8 }))).toEqual({
      ids: [1, 10, 11, 12, 2, 1, 20, 2],
      starts: [0, 5],
      documents: [0, 5],
      cut: 2,
    })
    // Two tokens of room are not enough for a document with both of its marks.
    expect(plain(layOut(row, { ...options, limit: 7 }))).toMatchObject({ ids: [1, 10, 11, 12, 2], cut: 3 })
    expect(plain(layOut(row, { ...options, limit: 4 }))).toMatchObject({ ids: [1, 10, 11, 2], cut: 4 })
  })

  it('adds end tokens only to complete documents', () => {
    const options = { separate: false, close: 9, closes: 'ended', limit: 20 } as const
    expect(plain(layOut(row, options)).ids).toEqual([10, 11, 12, 9, 20, 21, 9, 30])
    expect(plain(layOut({ ...row, endsDocument: true }, options)).ids).toEqual([10, 11, 12, 9, 20, 21, 9, 30, 9])
    // No room for the mark of the second document, which is whole, and none for the third.
    expect(plain(layOut(row, { ...options, limit: 6 }))).toMatchObject({ ids: [10, 11, 12, 9, 20, 21], cut: 1 })
    // A document that was cut is not closed.
    expect(plain(layOut(row, { ...options, limit: 5 }))).toMatchObject({ ids: [10, 11, 12, 9, 20], cut: 2 })
  })

  it('keeps the end token that shards have after each document, once', () => {
    // The end of a document of the last row, a document, and one that goes on in the next row.
    const shard = { ids: Uint16Array.of(9, 10, 11, 9, 20, 21), starts: [0, 1, 4], part: 0 }
    const options = { close: 9, closes: 'ended', limit: 20 } as const
    expect(plain(layOut(shard, { ...options, separate: false }))).toMatchObject({ ids: [9, 10, 11, 9, 20, 21], cut: 0 })
    expect(plain(layOut(shard, { ...options, separate: true }))).toEqual({
      ids: [10, 11, 9, 20, 21],
      starts: [0, 3],
      documents: [0, 3],
      cut: 0,
    })
    expect(plain(layOut(shard, { ...options, separate: true, limit: 2 }))).toMatchObject({ ids: [10, 11], cut: 3 })
    // A row that ends with a document ends with its end token, also where every document gets one.
    const ended = { ids: Uint16Array.of(10, 11, 9), starts: [0], part: 0 }
    expect(plain(layOut(ended, { ...options, separate: true }))).toMatchObject({ ids: [10, 11, 9], cut: 0 })
    expect(plain(layOut(ended, { ...options, separate: true, closes: 'all' })).ids).toEqual([10, 11, 9])
  })

  it('does not count tokens that are labels only', () => {
    const options = { separate: true, close: 9, closes: 'ended', limit: 6, uncounted: 1 } as const
    // 4 + 3 + 1 tokens in three sequences, of which 3 + 2 + 0 are read.
    expect(plain(layOut(row, options)).ids).toEqual([10, 11, 12, 9, 20, 21, 9, 30])
    expect(plain(layOut(row, { ...options, limit: 5 }))).toMatchObject({ starts: [0, 4, 7], cut: 0 })
    expect(plain(layOut(row, { ...options, limit: 4 })).ids).toEqual([10, 11, 12, 9, 20, 21, 30])
    expect(plain(layOut(row, { ...options, limit: 3 }))).toMatchObject({ ids: [10, 11, 12, 9, 20], cut: 2 })
  })
})

it('a maximum length too short for an example is refused', () => {
  expect(() => expectLength(2, 3, 'masked-lm')).toThrow(
    'Expected a whole number of at least 3 for `maxLength` of masked-lm, got 2.',
  )
  expect(() => expectLength(2.5, 1, 'causal-lm')).toThrow('got 2.5')
  expect(expectLength(3, 3, 'masked-lm')).toBeUndefined()
})
