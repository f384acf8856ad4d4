// Memory limits: a typed error in one line, also out of the middle of a backward pass, after which everything goes on.
import { afterEach, describe, expect, it } from 'vitest'
import {
  clearGrads,
  emptyCache,
  memoryStatistics,
  ones,
  randn,
  resetPeakMemory,
  scope,
  setMemoryLimit,
  setThreads,
  Tensor,
  zeros,
} from '../../src/tensor/index.ts'

afterEach(() => setMemoryLimit(undefined))

const catching = (body: () => unknown): Error => {
  try {
    body()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

describe('the memory limit', () => {
  it('stops an allocation with a typed error, and the process continues', () => {
    const room = memoryStatistics().inUse + (8 << 20)
    setMemoryLimit(room)
    expect(memoryStatistics().limit).toBe(room)
    const error = catching(() => zeros([16 << 20], { dtype: 'uint8' }))
    expect(error.name).toBe('OutOfMemoryError')
    expect(error.message).toMatch(/^zeros\(.*not enough memory: tried to allocate 16777216 bytes, over the limit/)
    expect(error.message).not.toContain('\n')
    expect(ones([2]).sum().item()).toBe(2)
    setMemoryLimit(undefined)
    const held = zeros([16 << 20], { dtype: 'uint8' })
    expect(held.size).toBe(16 << 20)
    // What the collector has yet to find would be in the counts of the tests below.
    held.free()
  })

  it('stops a backward, which can be run again with more memory', () => {
    scope(() => {
      const x = randn([256, 1024])
      x.requiresGrad = true
      const forward = () => {
        let value = x
        for (let i = 0; i < 8; i++) value = value.sin()
        return value.sum()
      }
      const loss = forward()
      setMemoryLimit(memoryStatistics().inUse + 1024)
      const error = catching(() => loss.backward())
      expect([error.name, error.message.includes('\n')]).toEqual(['OutOfMemoryError', false])
      setMemoryLimit(undefined)
      clearGrads([x])
      forward().backward()
      expect(x.grad?.shape).toEqual([256, 1024])
    })
  })

  it('counts cached blocks, and frees them first', () => {
    const block = 32 << 20
    zeros([block], { dtype: 'uint8' }).free()
    const { inUse, cached } = memoryStatistics()
    expect(cached).toBeGreaterThanOrEqual(block)
    setMemoryLimit(inUse + block + (4 << 20))
    const other = zeros([block + (1 << 20)], { dtype: 'uint8' })
    expect(memoryStatistics().inUse).toBeGreaterThan(inUse + block)
    other.free()
    emptyCache()
    expect(memoryStatistics().cached).toBe(0)
  })

  it('gives freed memory to blocks of other sizes', () => {
    emptyCache()
    const heldBytes = () => memoryStatistics().inUse + memoryStatistics().cached
    const before = heldBytes()
    const make = (megabytes: number) => zeros([Math.round(megabytes * 2 ** 20)], { dtype: 'uint8' })
    for (const tensor of [6, 10, 4].map(make)) tensor.free()
    const after = heldBytes()
    expect(after - before).toBeLessThan(24 << 20)
    // Small tensors of other tests may be collected meanwhile.
    const isUnchanged = () => Math.abs(heldBytes() - after) < 2 ** 16
    // Sizes that did not occur: one larger than any block before, and many of a tenth of a megabyte.
    for (const sizes of [[9, 8, 2], [19], Array.from({ length: 190 }, () => 0.1)]) {
      const made = sizes.map(make)
      expect(isUnchanged()).toBe(true)
      for (const one of made) one.free()
    }
    expect(isUnchanged()).toBe(true)
  })

  it('keeps little more than the peak, whatever sizes come', () => {
    emptyCache()
    resetPeakMemory()
    const kept: Tensor[] = []
    let held = 0
    // A deterministic sequence of sizes between 64 KiB and 8 MiB; ten tensors are alive at a time.
    for (let i = 1; i <= 600; i++) {
      kept.push(zeros([2 ** 16 + ((i * 7_654_321) % (8 << 20))], { dtype: 'uint8' }))
      if (kept.length > 10) kept.splice((i * 31) % kept.length, 1)[0].free()
      held = Math.max(held, memoryStatistics().inUse + memoryStatistics().cached)
    }
    const { peak } = memoryStatistics()
    for (const tensor of kept) tensor.free()
    expect(held).toBeLessThanOrEqual(1.25 * peak + (2 << 20))
  })

  it('measures the peak', () => {
    resetPeakMemory()
    const before = memoryStatistics().peak
    zeros([4 << 20], { dtype: 'uint8' }).free()
    expect(memoryStatistics().peak - before).toBeGreaterThanOrEqual(4 << 20)
  })

  it.each([0, -1, 1.5, Number.NaN, 'x', null])('cannot be %s', (bytes) => {
    expect(() => setMemoryLimit(bytes as never)).toThrow(/setMemoryLimit|bytes/)
    expect(memoryStatistics().limit).toBeUndefined()
  })
})

describe('an allocation of more than the machine has', () => {
  it.each([2 ** 42, 2 ** 46, 2 ** 52])('is refused at %d bytes', (bytes) => {
    const error = catching(() => zeros([bytes], { dtype: 'uint8' }))
    expect(error.name).toBe('OutOfMemoryError')
    expect(error.message).toMatch(/^zeros\([^\n]*not enough memory[^\n]*$/)
    expect(() =>
      Tensor.from([1])
        .expand([2 ** 40])
        .add(1),
    ).toThrow(/not enough memory/)
  })
})

describe('threads', () => {
  it.each([0, -1, 1.5, 1e9, Number.NaN, 'x'])('cannot be %s', (count) => {
    expect(() => setThreads(count as never)).toThrow(/setThreads/)
  })
})
