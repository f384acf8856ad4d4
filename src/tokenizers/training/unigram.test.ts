import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findRepeatedSubstrings } from './repeated-substrings.ts'
import { bestPath, createPathBuffers, dropPieces, expectation, type Lattice } from './unigram-lattice.ts'
import { digamma, trainUnigram } from './unigram-trainer.ts'
import { WordTable } from './word-table.ts'

const wordsArbitrary = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 12 }), {
  minLength: 1,
  maxLength: 12,
})

const toText = (words: readonly string[]) => {
  let end = 0
  return {
    symbols: Int32Array.from(words.join(''), (character) => character.charCodeAt(0) - 97),
    ends: Uint32Array.from(words, (word) => (end += word.length)),
  }
}

describe('findRepeatedSubstrings', () => {
  test('finds each repeated substring that cannot be extended without losing an occurrence', () => {
    fc.assert(
      fc.property(wordsArbitrary, fc.integer({ min: 2, max: 6 }), (words, maxLength) => {
        const text = toText(words)
        const found = findRepeatedSubstrings(text, maxLength)
        const all = words.join('')
        const got = new Map<string, number[]>()
        for (let i = 0; i < found.size; i++) {
          const positions = Array.from(found.suffixes.subarray(found.from[i], found.to[i])).sort((a, b) => a - b)
          got.set(all.slice(positions[0], positions[0] + found.length[i]), positions)
        }
        const expected = new Map<string, number[]>()
        let start = 0
        for (const word of words) {
          for (let i = 0; i < word.length; i++) {
            for (let length = 2; length <= maxLength && i + length <= word.length; length++) {
              const part = word.slice(i, i + length)
              expected.set(part, [...(expected.get(part) ?? []), start + i])
            }
          }
          start += word.length
        }
        const endOf = (position: number) => text.ends.find((end) => end > position) as number
        for (const [part, positions] of expected) {
          // The character after each occurrence; each end of a word counts as different.
          const next = positions.map((position, i) =>
            position + part.length < endOf(position) ? all[position + part.length] : `end${i}`,
          )
          if (positions.length < 2 || new Set(next).size === 1) expected.delete(part)
        }
        expect([...got].sort()).toEqual([...expected].sort())
      }),
      { numRuns: 500 },
    )
  })
})

interface Case {
  words: string[]
  pieces: string[]
  lattice: Lattice
  probability: Float64Array
}

const makeCase = (words: string[], pieces: string[], weights: readonly number[], scale = 1): Case => {
  const first = [0]
  const edges: [length: number, piece: number][] = []
  for (const word of words) {
    for (let i = 0; i < word.length; i++) {
      pieces.forEach((piece, id) => {
        if (word.startsWith(piece, i)) edges.push([piece.length, id])
      })
      first.push(edges.length)
    }
  }
  return {
    words,
    pieces,
    lattice: {
      ends: toText(words).ends,
      counts: Float64Array.from(words, (_, i) => 1 + (i % 3)),
      first: Uint32Array.from(first),
      edgeLength: Uint8Array.from(edges, ([length]) => length),
      edgePiece: Int32Array.from(edges, ([, piece]) => piece),
    },
    probability: Float64Array.from(pieces, (_, id) => (scale * weights[id % weights.length]) / 100),
  }
}

/** Every split of a word into pieces. */
const segmentations = (word: string, pieces: readonly string[]): number[][] => {
  if (word === '') return [[]]
  return pieces.flatMap((piece, id) =>
    word.startsWith(piece) ? segmentations(word.slice(piece.length), pieces).map((rest) => [id, ...rest]) : [],
  )
}

const casesArbitrary = fc
  .tuple(
    fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 7 }), {
      minLength: 1,
      maxLength: 6,
    }),
    fc.uniqueArray(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 2, maxLength: 4 }), { maxLength: 8 }),
    fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 11, maxLength: 11 }),
  )
  .map(([words, longer, weights]) => ({ words, pieces: ['a', 'b', 'c', ...longer], weights }))

describe('the lattice', () => {
  test('sums over every segmentation, as enumerated; tiny probabilities too', () => {
    fc.assert(
      fc.property(casesArbitrary, fc.constantFrom(1, 1e-80), ({ words, pieces, weights }, scale) => {
        const { lattice, probability } = makeCase(words, pieces, weights, scale)
        const expected = new Float64Array(pieces.length)
        const likelihood = expectation(lattice, probability, expected)
        const byHand = new Float64Array(pieces.length)
        let logs = 0
        words.forEach((word, w) => {
          // In logarithms, because products of tiny probabilities underflow.
          const paths = segmentations(word, pieces).map((ids) => ({
            ids,
            log: ids.reduce((sum, id) => sum + Math.log(probability[id]), 0),
          }))
          const top = Math.max(...paths.map(({ log }) => log))
          const total = top + Math.log(paths.reduce((sum, { log }) => sum + Math.exp(log - top), 0))
          logs += lattice.counts[w] * total
          for (const { ids, log } of paths)
            for (const id of ids) byHand[id] += lattice.counts[w] * Math.exp(log - total)
        })
        expect(likelihood).toBeCloseTo(logs, 6)
        for (const [id, value] of expected.entries()) expect(value).toBeCloseTo(byHand[id], 8)
      }),
      { numRuns: 300 },
    )
  })

  test('finds the best path, with and without the edge over the whole word', () => {
    fc.assert(
      fc.property(casesArbitrary, fc.boolean(), ({ words, pieces, weights }, inner) => {
        const { lattice, probability } = makeCase(words, pieces, weights)
        const logs = probability.map(Math.log)
        words.forEach((word, w) => {
          const start = w === 0 ? 0 : lattice.ends[w - 1]
          const path: number[] = []
          const score = bestPath(
            lattice,
            logs,
            { start, length: word.length, inner, buffers: createPathBuffers(8) },
            (id) => path.push(id),
          )
          const paths = segmentations(word, pieces).filter((ids) => !(inner && ids.length === 1))
          const best = Math.max(...paths.map((ids) => ids.reduce((sum, id) => sum + logs[id], 0)))
          if (paths.length === 0) expect(score).toBe(Number.NEGATIVE_INFINITY)
          else {
            expect(score).toBeCloseTo(best, 10)
            expect(
              path
                .reverse()
                .map((id) => pieces[id])
                .join(''),
            ).toBe(word)
          }
        })
      }),
      { numRuns: 300 },
    )
  })

  test('after dropping pieces equals the lattice of the remaining pieces', () => {
    const given = makeCase(['abcab', 'cab'], ['a', 'b', 'c', 'ab', 'cab'], [10])
    dropPieces(given.lattice, Int32Array.of(0, 1, 2, -1, 3))
    const { lattice } = makeCase(['abcab', 'cab'], ['a', 'b', 'c', 'cab'], [10])
    const edges = lattice.first[lattice.first.length - 1]
    expect([...given.lattice.first]).toEqual([...lattice.first])
    expect([...given.lattice.edgePiece.subarray(0, edges)]).toEqual([...lattice.edgePiece])
    expect([...given.lattice.edgeLength.subarray(0, edges)]).toEqual([...lattice.edgeLength])
  })
})

describe('trainUnigram', () => {
  const train = (words: Record<string, number>, pieces: number) => {
    const table = new WordTable()
    for (const [word, count] of Object.entries(words)) {
      const bytes = Buffer.from(word)
      table.add(bytes, 0, bytes.length, count)
    }
    const options = {
      pieces,
      maxPieceLength: 16,
      seedSize: 1e6,
      shrinkingFactor: 0.75,
      subIterations: 2,
      initialAlphabet: '',
    }
    return trainUnigram(table.data(), options)
  }

  test('keeps all characters and the most useful pieces', () => {
    const words = Object.fromEntries(
      ['low', 'lower', 'lowest', 'new', 'newer', 'newest', 'wide', 'wider', 'widest'].map((word) => [`▁${word}`, 50]),
    )
    const pieces = train(words, 16).map(([piece]) => piece)
    for (const character of new Set(Object.keys(words).join(''))) expect(pieces).toContain(character)
    expect(pieces).toHaveLength(16)
    for (const stem of ['▁low', '▁ne', '▁wid']) expect(pieces.some((piece) => piece.startsWith(stem))).toBe(true)
  })

  test('handles one very long word', () => {
    const pieces = train({ ['ab'.repeat(1500)]: 1, ab: 5 }, 6)
    expect(pieces.every(([, score]) => Number.isFinite(score))).toBe(true)
    expect(pieces.length).toBeGreaterThanOrEqual(2)
  })
})

test('digamma returns known values', () => {
  // Abramowitz and Stegun, table 6.1: psi(1) = -gamma, psi(1.5), psi(2); and psi(10).
  expect(digamma(1)).toBeCloseTo(-0.5772156649, 8)
  expect(digamma(1.5)).toBeCloseTo(0.03648997398, 8)
  expect(digamma(2)).toBeCloseTo(0.4227843351, 8)
  expect(digamma(10)).toBeCloseTo(2.251752589, 8)
})
