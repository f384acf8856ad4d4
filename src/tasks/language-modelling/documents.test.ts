import { describe, expect, test } from 'vitest'
import { causalPieces, pseudoPieces } from './documents.ts'

const ids = Uint32Array.from({ length: 11 }, (_, i) => 10 + i)
const shown = (
  pieces: Iterable<{ ids: ArrayLike<number>; places: ArrayLike<number>; labels: ArrayLike<number>; tokens: number }>,
) =>
  [...pieces].map((piece) => [[...Array.from(piece.ids)], [...Array.from(piece.places)], [...Array.from(piece.labels)]])

describe('causalPieces', () => {
  test('are those made by hand: windows of 5, stride 3, after a start token', () => {
    const pieces = causalPieces(ids, { maxLength: 5, stride: 3, startId: 1, silent: new Set() })
    expect(shown(pieces)).toEqual([
      [
        [1, 10, 11, 12, 13],
        [0, 1, 2, 3, 4],
        [10, 11, 12, 13, 14],
      ],
      [
        [12, 13, 14, 15, 16],
        [2, 3, 4],
        [15, 16, 17],
      ],
      [
        [15, 16, 17, 18, 19],
        [2, 3, 4],
        [18, 19, 20],
      ],
    ])
  })

  test('are those made by hand: without a start token the first token is context only, like special tokens', () => {
    const pieces = causalPieces(ids.subarray(0, 4), {
      maxLength: 9,
      stride: 9,
      startId: undefined,
      silent: new Set([12]),
    })
    expect(shown(pieces)).toEqual([
      [
        [10, 11, 12],
        [0, 2],
        [11, 13],
      ],
    ])
    expect(
      shown(causalPieces(ids.subarray(0, 1), { maxLength: 9, stride: 9, startId: undefined, silent: new Set() })),
    ).toEqual([])
  })

  test('score every token once, with as much context as fits', () => {
    for (const maxLength of [1, 2, 5, 11, 30]) {
      for (let stride = 1; stride <= maxLength; stride++) {
        const pieces = [...causalPieces(ids, { maxLength, stride, startId: 1, silent: new Set() })]
        expect(pieces.flatMap(({ labels }) => [...Array.from(labels)])).toEqual([...ids])
        for (const [i, piece] of pieces.entries()) {
          expect(piece.ids.length).toBeLessThanOrEqual(maxLength)
          // Every later window is full: none has less context than it could.
          if (i > 0) expect(piece.ids.length).toBe(maxLength)
        }
        expect(pieces.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(11)
      }
    }
  })
})

test('pseudoPieces mask one token at a time, in blocks of nearly equal length', () => {
  const vocabulary = { size: 99, cls: 2, sep: 3, mask: 4, specialIds: new Set<number>() }
  expect(shown(pseudoPieces(ids.subarray(0, 3), vocabulary, 9, new Set([11])))).toEqual([
    [[2, 4, 11, 12, 3], [1], [10]],
    [[2, 10, 11, 4, 3], [3], [12]],
  ])
  const blocks = [...pseudoPieces(ids, vocabulary, 8, new Set())]
  expect(blocks).toHaveLength(11)
  expect(new Set(blocks.map((piece) => piece.ids.length))).toEqual(new Set([7, 8]))
})
