import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRandom, permutedIndex, restoreRandom } from './random.ts'

describe('createRandom', () => {
  // Made by a C program of the published algorithm, from the state 1, 2, 3, 4.
  it('gives the numbers of xoshiro128**', () => {
    const random = restoreRandom([1, 2, 3, 4, 0, 0, 0, 0])
    expect(Array.from({ length: 8 }, () => random.uint32())).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849,
    ])
  })

  it('is the same for the same seed, other for another, and tells 1 from "1"', () => {
    const draw = (seed: number | bigint | string) => {
      const random = createRandom(seed)
      return Array.from({ length: 4 }, () => random.uint32()).join()
    }
    expect(draw(7)).toBe(draw(7))
    expect(new Set([draw(7), draw(8), draw('7'), draw(7n), draw(-7), draw(2 ** 40 + 7)]).size).toBe(6)
  })

  it('goes on from a saved state that went through JSON', () => {
    const random = createRandom('x')
    random.float()
    const restored = restoreRandom(JSON.parse(JSON.stringify(random.state())))
    expect([restored.uint32(), restored.normal(), restored.integer(10)]).toEqual([
      random.uint32(),
      random.normal(),
      random.integer(10),
    ])
    expect(restored.fork('a').uint32()).toBe(random.fork('a').uint32())
  })

  it('refuses states that are none', () => {
    for (const bad of [
      [],
      [1, 2, 3],
      [0, 0, 0, 0, 1, 1, 1, 1],
      [1, 2, 3, 4.5, 0, 0, 0, 0],
      [-1, 2, 3, 4, 0, 0, 0, 0],
    ]) {
      expect(() => restoreRandom(bad)).toThrow('Expected eight 32-bit words')
    }
  })

  it('forks by label, however much was drawn before', () => {
    const early = createRandom(1).fork('data').uint32()
    const drained = createRandom(1)
    for (let i = 0; i < 100; i++) drained.uint32()
    expect(drained.fork('data').uint32()).toBe(early)
    expect(drained.fork('dropout').uint32()).not.toBe(early)
    expect(createRandom(2).fork('data').uint32()).not.toBe(early)
  })

  it('has the moments of its distributions', () => {
    const random = createRandom(3)
    const n = 200_000
    let sum = 0
    let normalSum = 0
    let squares = 0
    for (let i = 0; i < n; i++) {
      sum += random.float()
      const z = random.normal()
      normalSum += z
      squares += z * z
    }
    // Four standard errors around the true mean 1/2, mean 0 and variance 1.
    expect(Math.abs(sum / n - 0.5)).toBeLessThan(4 * Math.sqrt(1 / 12 / n))
    expect(Math.abs(normalSum / n)).toBeLessThan(4 / Math.sqrt(n))
    expect(Math.abs(squares / n - 1)).toBeLessThan(4 * Math.sqrt(2 / n))
  })

  it('draws integers evenly and in range, also beyond 32 bits', () => {
    const random = createRandom(4)
    const counts = new Array<number>(7).fill(0)
    for (let i = 0; i < 70_000; i++) counts[random.integer(7)] += 1
    const chiSquared = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)
    expect(chiSquared).toBeLessThan(22.5) // 99.9 % point for 6 degrees of freedom
    let high = 0
    for (let i = 0; i < 1000; i++) {
      const value = random.integer(2 ** 40)
      expect(value).toBeLessThan(2 ** 40)
      if (value >= 2 ** 39) high += 1
    }
    expect(high).toBeGreaterThan(400)
    for (const bad of [0, -1, 1.5, Number.NaN, 2 ** 60]) expect(() => random.integer(bad)).toThrow(RangeError)
  })

  it('shuffles arrays and typed arrays evenly', () => {
    const random = createRandom(5)
    const orders = new Map<string, number>()
    for (let i = 0; i < 24_000; i++) {
      const order = [...random.shuffle(new Uint16Array([1, 2, 3, 4]))].join('')
      orders.set(order, (orders.get(order) ?? 0) + 1)
    }
    expect(orders.size).toBe(24)
    const chiSquared = [...orders.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
    expect(chiSquared).toBeLessThan(49.8) // 99.9 % point for 23 degrees of freedom
  })
})

describe('permutedIndex', () => {
  it('is a bijection for every seed and length', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.integer(), fc.string(), fc.bigInt()),
        fc.integer({ min: 1, max: 3000 }),
        (seed, length) => {
          const seen = new Set<number>()
          for (let i = 0; i < length; i++) seen.add(permutedIndex(seed, length, i))
          expect(seen.size).toBe(length)
          expect(Math.max(...seen)).toBe(length - 1)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('stays in range for lengths that need all 53 bits', () => {
    for (const length of [2 ** 31 + 11, 2 ** 32, 2 ** 32 + 1, 2 ** 45 + 3, Number.MAX_SAFE_INTEGER]) {
      const values = Array.from({ length: 200 }, (_, i) => permutedIndex(9, length, i))
      expect(new Set(values).size).toBe(200)
      for (const value of values) expect(Number.isSafeInteger(value) && value >= 0 && value < length).toBe(true)
      expect(values.some((value) => value > length / 2)).toBe(true)
    }
  })

  it('sends the first position everywhere, evenly over seeds', () => {
    const counts = new Array<number>(10).fill(0)
    for (let seed = 0; seed < 20_000; seed++) counts[permutedIndex(seed, 10, 0)] += 1
    const chiSquared = counts.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0)
    expect(chiSquared).toBeLessThan(27.9) // 99.9 % point for 9 degrees of freedom
  })

  it('leaves no trace of the order: neighbours are far apart', () => {
    const n = 10_000
    let near = 0
    for (let i = 1; i < n; i++) if (Math.abs(permutedIndex(1, n, i) - permutedIndex(1, n, i - 1)) === 1) near += 1
    expect(near).toBeLessThan(15) // about 2 are expected
  })

  it('refuses positions outside', () => {
    expect(() => permutedIndex(1, 10, 10)).toThrow('Broken invariant')
    expect(() => permutedIndex(1, 0, 0)).toThrow('Broken invariant')
  })
})
