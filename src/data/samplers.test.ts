import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createRandom } from '../core/index.ts'
import { bestFitRows, planBestFit } from './best-fit-rows.ts'
import { mixture } from './mixture.ts'
import { packedRows } from './packed-rows.ts'
import { type Row, rowAt, type Sampler } from './sampler.ts'
import { type TokenSource, tokensInMemory } from './token-source.ts'
import { wholeDocuments } from './whole-documents.ts'

/** A source whose token `i` has the id `i`, so that every row shows its origin. */
const makeSource = (lengths: readonly number[]): TokenSource => {
  const ends: number[] = []
  for (const length of lengths) ends.push((ends[ends.length - 1] ?? 0) + length)
  return tokensInMemory(
    Uint32Array.from({ length: ends[ends.length - 1] ?? 0 }, (_, i) => i),
    ends,
  )
}

const randomLengths = (count: number, most: number, seed = 1): number[] => {
  const random = createRandom(seed)
  return Array.from({ length: count }, () => 1 + random.integer(most))
}

const allRows = (sampler: Sampler, epoch: number): Row[] =>
  Array.from({ length: sampler.rowsPerEpoch }, (_, index) => sampler.row(epoch, index))

const source = makeSource(randomLengths(500, 90))

const samplers: Record<string, (seed: number) => Sampler> = {
  'whole documents': (seed) => wholeDocuments(source, { seed, maxLength: 64 }),
  'packed rows': (seed) => packedRows(source, { seed, length: 32, overlap: 1 }),
  'packed rows of shuffled documents': (seed) => packedRows(source, { seed, length: 32, shuffle: 'documents' }),
  'best-fit rows': (seed) => bestFitRows(source, { seed, length: 64 }),
  mixture: (seed) =>
    mixture(
      [
        { sampler: packedRows(source, { seed, length: 32 }), weight: 3, maxEpochs: 2 },
        { sampler: wholeDocuments(source, { seed, maxLength: 20 }), weight: 1 },
      ],
      { seed, rows: 1500 },
    ),
}

describe.each(Object.entries(samplers))('%s', (_name, create) => {
  test('returns the same row for the same seed, epoch and index, in any order of calls', () => {
    const a = create(5)
    const b = create(5)
    const forward = [0, 1].map((epoch) => allRows(a, epoch))
    for (const epoch of [1, 0]) {
      for (let index = b.rowsPerEpoch - 1; index >= 0; index -= 3)
        expect(b.row(epoch, index)).toEqual(forward[epoch][index])
    }
    expect(rowAt(a, a.rowsPerEpoch + 7)).toEqual(forward[1][7])
  })

  test('has another order in another epoch and with another seed', () => {
    const ids = (rows: Row[]) => rows.map((row) => row.ids.join()).join('|')
    const first = ids(allRows(create(5), 0))
    expect(ids(allRows(create(5), 1))).not.toBe(first)
    expect(ids(allRows(create(6), 0))).not.toBe(first)
  })

  test('returns the exact start of each document', () => {
    const sampler = create(5)
    for (const { ids, starts } of allRows(sampler, 0)) {
      expect(ids.length).toBeLessThanOrEqual(sampler.maxLength)
      for (let i = 1; i < ids.length; i++) {
        const boundary = source.documentAt(ids[i]) !== source.documentAt(ids[i - 1])
        expect(starts.includes(i)).toBe(boundary)
      }
    }
  })

  test('throws for rows that do not exist', () => {
    const sampler = create(5)
    for (const index of [-1, 0.5, sampler.rowsPerEpoch]) expect(() => sampler.row(0, index)).toThrow(RangeError)
  })
})

describe('whole documents', () => {
  test('return each document once per epoch', () => {
    const seen = allRows(wholeDocuments(source, { maxLength: 1000 }), 3).map((row) => source.documentAt(row.ids[0]))
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, i) => i))
  })
})

describe('packed rows', () => {
  for (const shuffle of ['none', 'rows', 'documents'] as const) {
    test(`use each token at most once per epoch, and nearly all (shuffle ${shuffle})`, () => {
      const rows = allRows(packedRows(source, { length: 32, shuffle }), 2)
      const tokens = rows.flatMap((row) => Array.from(row.ids))
      expect(new Set(tokens).size).toBe(tokens.length)
      expect(source.tokens - tokens.length).toBeLessThan(64)
      expect(rows.every((row) => row.ids.length === 32)).toBe(true)
    })
  }

  test('overlap by the given number of tokens', () => {
    const sampler = packedRows(source, { length: 10, overlap: 1, shuffle: 'none' })
    expect(sampler.row(0, 1).ids[0]).toBe(sampler.row(0, 0).ids[9])
  })

  test('are split at another offset in another epoch', () => {
    const sampler = packedRows(source, { length: 32 })
    const offsets = new Set([0, 1, 2, 3].map((epoch) => Number(sampler.row(epoch, 0).ids[0]) % 32))
    expect(offsets.size).toBeGreaterThan(1)
  })

  test('throw for a source shorter than one row', () => {
    expect(() => packedRows(makeSource([5]), { length: 6 })).toThrow(/at least 6 tokens, got 5/)
    expect(packedRows(makeSource([6]), { length: 6 }).row(0, 0).ids).toHaveLength(6)
    expect(() => packedRows(source, { length: 8, overlap: 8 })).toThrow(/overlap below/)
  })
})

describe('best-fit rows', () => {
  test('hold each token once and split only documents longer than a row', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        (lengths, rowLength) => {
          fc.pre(lengths.some((length) => length > 0))
          const some = makeSource(lengths)
          const rows = allRows(bestFitRows(some, { length: rowLength }), 1)
          const tokens = rows.flatMap((row) => Array.from(row.ids)).sort((a, b) => a - b)
          expect(tokens).toEqual(Array.from({ length: some.tokens }, (_, i) => i))
          const pieces = rows.reduce((sum, row) => sum + row.starts.length, 0)
          expect(pieces).toBe(lengths.reduce((sum, length) => sum + Math.ceil(length / rowLength), 0))
        },
      ),
    )
  })

  test('choose the fullest row with enough space, as best-fit decreasing defines', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 50 }), (lengths) => {
        const plan = planBestFit(makeSource(lengths), 30)
        const free: number[] = []
        for (const length of [...lengths].sort((a, b) => b - a)) {
          let best = -1
          for (let row = 0; row < free.length; row++)
            if (free[row] >= length && (best < 0 || free[row] < free[best])) best = row
          if (best < 0) best = free.push(30) - 1
          free[best] -= length
        }
        expect(plan.rowEnds).toHaveLength(free.length)
      }),
    )
  })

  test('leave less than 2 % of the space empty for documents of mixed lengths', () => {
    const many = makeSource(randomLengths(5000, 300, 3))
    const sampler = bestFitRows(many, { length: 512 })
    expect(many.tokens / (sampler.rowsPerEpoch * 512)).toBeGreaterThan(0.98)
  })
})

describe('mixture', () => {
  const one = (rows: number, first: number): Sampler => ({
    rowsPerEpoch: rows,
    maxLength: 1,
    row: (epoch, index) => ({ ids: Uint32Array.of(first + epoch * rows + index), starts: [0], part: 0 }),
  })

  test('keeps the proportions in every block of 4096 rows', () => {
    const mixed = mixture([
      { sampler: one(100, 0), weight: 0.7 },
      { sampler: one(1000, 1e6), weight: 0.2 },
      { sampler: one(50, 2e6), weight: 0.1 },
    ])
    expect(mixed.rowsPerEpoch).toBe(Number.POSITIVE_INFINITY)
    for (const block of [0, 1, 1000]) {
      const counts = [0, 0, 0]
      for (let i = 0; i < 4096; i++) counts[mixed.row(0, block * 4096 + i).part]++
      expect(counts).toEqual([2867, 819, 410])
    }
  })

  test('uses the rows of each part in order, each once, up to its limit', () => {
    const mixed = mixture(
      [
        { sampler: one(1000, 0), weight: 5, maxEpochs: 1.5 },
        { sampler: one(3000, 1e6), weight: 3, maxEpochs: 1 },
        { sampler: one(40, 2e6), weight: 2, maxRows: 130 },
      ],
      { seed: 9 },
    )
    expect(mixed.rowsPerEpoch).toBe(1500 + 3000 + 130)
    const seen: number[][] = [[], [], []]
    for (const row of allRows(mixed, 0)) seen[row.part].push(row.ids[0])
    expect(seen.map((rows) => new Set(rows).size)).toEqual([1500, 3000, 130])
    expect(Math.max(...seen[0])).toBe(1499)
    expect(Math.max(...seen[2]) - 2e6).toBe(129)
  })

  test('continues in its parts in the second epoch', () => {
    const mixed = mixture(
      [
        { sampler: one(10_000, 0), weight: 1 },
        { sampler: one(10_000, 1e6), weight: 1 },
      ],
      { rows: 5000 },
    )
    const both = [...allRows(mixed, 0), ...allRows(mixed, 1)].map((row) => row.ids[0])
    expect(new Set(both).size).toBe(10_000)
  })

  test('throws for more rows than the limits allow, and for no parts', () => {
    expect(() => mixture([{ sampler: one(10, 0), weight: 1, maxEpochs: 2 }], { rows: 21 })).toThrow(
      /allow 21 rows.*got 20/,
    )
    expect(() => mixture([])).toThrow(/at least one part/)
    expect(() => mixture([{ sampler: one(10, 0), weight: -1 }])).toThrow(/mixture\[0\]\.weight/)
  })
})
