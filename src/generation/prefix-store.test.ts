// Stored blocks: found by tokens, order and weights, dropped by age from the ends of texts.
import { describe, expect, it } from 'vitest'
import { liveTensors, zeros } from '../tensor/index.ts'
import { blockTokens, PrefixStore } from './prefix-store.ts'

/** 4 bytes a token. */
const read = (_: number, count: number) => zeros([1, count]).keep()
const text = (length: number, first: number) => Array.from({ length }, (_, i) => first + i)

describe('PrefixStore', () => {
  it('finds whole blocks of the same beginning and weights', () => {
    const store = new PrefixStore(1e6)
    const ids = text(100, 0)
    store.add('a', ids, 70, read)
    const found = (weights: string, given: readonly number[], most = given.length) =>
      store.find(weights, given, most).length
    expect(found('a', ids)).toBe(4)
    expect(found('a', ids, 2 * blockTokens - 1)).toBe(1)
    expect(found('b', ids)).toBe(0)
    expect(found('a', text(100, 1))).toBe(0)
    expect(found('a', [...ids.slice(0, 40), 7, ...ids.slice(41)])).toBe(2)
    // The same block after another one is another block.
    expect(found('a', [...text(16, 500), ...ids.slice(16)])).toBe(0)
    store.clear()
    expect(found('a', ids)).toBe(0)
  })

  it('drops the blocks that were not used for longest, the last of a text first', () => {
    const before = liveTensors()
    const bytes = 4 * blockTokens
    const store = new PrefixStore(6 * bytes)
    const count = (first: number) => store.find('', text(64, first), 64).length
    store.add('', text(64, 0), 64, read)
    store.add('', text(32, 1000), 32, read)
    expect([count(0), store.bytes]).toEqual([4, 6 * bytes])
    store.add('', text(48, 2000), 48, read)
    expect(store.bytes).toBe(6 * bytes)
    expect([count(1000), count(0), count(2000)]).toEqual([0, 3, 3])
    expect(liveTensors() - before).toBe(6)
    store.clear()
    expect(liveTensors()).toBe(before)
  })
})
