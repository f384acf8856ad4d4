// The sizes that CUDA's caching allocator would ask a driver for, computed by hand from its rules.
import { describe, expect, it } from 'vitest'
import { createRandom } from '../core/index.ts'
import { CardMemory, cardBytes, cardContextBytes } from './card-memory.ts'

const kib = 1024
const mib = 1024 * kib

/** What is reserved after each of these: bytes to allocate, or minus the place of what is freed. */
const reservedAfter = (steps: readonly number[]): number[] => {
  const memory = new CardMemory()
  return steps.map((step, i) => {
    if (step > 0) memory.allocate(i, step)
    else memory.free(-step)
    return memory.reserved / mib
  })
}

describe('segments', () => {
  it.each([
    ['small blocks share one of 2 MiB', [1, 1 * mib, 0.5 * mib, 511 * kib, 513], [2, 2, 2, 2, 4]],
    ['a block up to 1 MiB is small, a larger one is cut from 20 MiB', [1 * mib, 1 * mib + 1], [2, 22]],
    ['blocks below 10 MiB share 20 MiB', [9 * mib, 9 * mib, 2 * mib + 1], [20, 20, 40]],
    ['blocks from 10 MiB on have their own, in steps of 2 MiB', [10 * mib, 10 * mib + 1, 31 * mib], [10, 22, 54]],
    ['a block of 10 MiB has what is left of a segment', [9 * mib, 11 * mib, 11 * mib], [20, 20, 32]],
    ['what is left of a large block is another only above 1 MiB', [19 * mib, 1.5 * mib], [20, 40]],
  ])('%s', (_, steps, reserved) => expect(reservedAfter(steps)).toEqual(reserved))
})

describe('freed blocks', () => {
  it('are used again, the smallest that is large enough', () => {
    // 12 and 30 MiB are free: 11 MiB goes into the first, so that 29 MiB still fits.
    expect(reservedAfter([30 * mib, 12 * mib, -0, -1, 11 * mib, 29 * mib])).toEqual([30, 42, 42, 42, 42, 42])
  })

  it('are joined with free neighbours on both sides, and not with used ones', () => {
    const apart = [4 * mib, 4 * mib, 4 * mib, 8 * mib]
    expect(reservedAfter([...apart, -0, -2, 8 * mib])).toEqual([20, 20, 20, 20, 20, 20, 40])
    expect(reservedAfter([...apart, -0, -2, -1, 12 * mib])).toEqual([20, 20, 20, 20, 20, 20, 20, 20])
  })

  it('do not serve blocks of the other kind', () => {
    expect(reservedAfter([30 * mib, -0, 1 * mib])).toEqual([30, 30, 32])
  })
})

it('of any order never overlap what is in use, and segments never shrink', () => {
  const random = createRandom('card-memory')
  const memory = new CardMemory()
  const sizes = new Map<number, number>()
  let before = 0
  for (let i = 0; i < 4000; i++) {
    if (sizes.size > 40 || (sizes.size > 0 && random.integer(3) === 0)) {
      const keys = [...sizes.keys()]
      const key = keys[random.integer(keys.length)]
      memory.free(key)
      sizes.delete(key)
    } else {
      const size = 1 + random.integer([4 * kib, 3 * mib, 40 * mib][random.integer(3)])
      memory.allocate(i, size)
      sizes.set(i, size)
    }
    const used = [...sizes.values()].reduce((sum, size) => sum + Math.ceil(size / 512) * 512, 0)
    expect(memory.reserved).toBeGreaterThanOrEqual(Math.max(used, before))
    before = memory.reserved
  }
  const large = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  expect(before).toBeLessThan(8 * large + 100 * mib)
})

it('a plan has the largest of its segments, and the context', () => {
  const events = Float64Array.from([
    ...[1, 30 * mib, 0, 0],
    ...[1, -30 * mib, 0, 0],
    ...[2, 20 * mib, 0, 0],
    ...[3, 0, 0, 0],
    ...[2, -20 * mib, 0, 0],
  ])
  expect(cardBytes(events)).toBe(30 * mib + cardContextBytes)
})
