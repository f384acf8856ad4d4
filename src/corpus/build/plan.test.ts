import { describe, expect, it } from 'vitest'
import { groupBySize, planPieces } from './inputs.ts'

const file = (path: string, bytes: number) => ({ source: 0, path, bytes, sha256: '' })

describe('planPieces', () => {
  it('groups small files, keeps large ones alone, and keeps the order', () => {
    const inputs = [file('a', 4), file('b', 5), file('c', 3), file('d', 100), file('e', 12), file('f', 1)]
    const pieces = planPieces(inputs, { groupBytes: 10, largeFileBytes: 50 })
    const shape = pieces.map((piece) =>
      piece.kind === 'large' ? `large ${piece.input.path}` : piece.inputs.map(({ path }) => path).join(''),
    )
    expect(shape).toEqual(['ab', 'c', 'large d', 'e', 'f'])
  })

  it('bounds the number of files in a group', () => {
    const inputs = Array.from({ length: 2500 }, (_, index) => file(String(index), 0))
    expect(planPieces(inputs, { groupBytes: 10, largeFileBytes: 50 })).toHaveLength(3)
  })
})

describe('groupBySize', () => {
  it('fills groups up to the limit, and gives a larger item a group of its own', () => {
    expect(groupBySize([3, 3, 3, 9, 1, 12, 0], (item) => item, 9)).toEqual([[3, 3, 3], [9], [1], [12], [0]])
    expect(groupBySize([], () => 1, 9)).toEqual([])
  })
})
