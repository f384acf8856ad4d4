// Tables of rotary positions that do not fit in memory.
import { afterEach, expect, it } from 'vitest'
import { OutOfMemoryError } from '../core/index.ts'
import { emptyCache, memoryStatistics, setMemoryLimit } from '../tensor/index.ts'
import { RotaryTable } from './rope.ts'

afterEach(() => {
  setMemoryLimit(undefined)
})

it('keeps its tables where there is no memory for larger ones', () => {
  const rope = new RotaryTable({ rotaryDim: 64, theta: 10_000, scaling: { kind: 'default' } })
  const before = rope.tables(100).cos.toFloat32Array()
  emptyCache()
  setMemoryLimit(memoryStatistics().inUse + 100_000)
  expect(() => rope.tables(100_000)).toThrow(OutOfMemoryError)
  expect(rope.tables(100).cos.toFloat32Array()).toEqual(before)
  setMemoryLimit(undefined)
  expect(rope.tables(100_000).cos.shape).toEqual([100_000, 32])
})
