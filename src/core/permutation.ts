// A random order of 0..length-1 that is never stored: each position is computed on its own, in constant time.
import { invariant } from './errors.ts'

/**
 * The `index`-th element of a random permutation of 0..length-1: a bijection for each seed, a pure function, O(1) expected
 * and without memory. `length` up to 2^53 - 1.
 * @source Feistel network with cycle walking: Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains", section 3
 */
export const permutedIndex = (seed: number | bigint | string, length: number, index: number): number => {
  invariant(Number.isSafeInteger(length) && length > 0, `permutedIndex needs a length of at least 1, got ${length}.`)
  invariant(
    Number.isSafeInteger(index) && index >= 0 && index < length,
    `permutedIndex: ${index} is not in 0..${length - 1}.`,
  )
  const [keyLow, keyHigh] = keysOf(seed)
  // Both halves have `bits` bits, so the walk is over at most four times the length: about four steps at worst on average.
  const bits = Math.max(1, Math.ceil(Math.log2(length) / 2))
  const side = 2 ** bits
  let value = index
  do {
    let left = Math.floor(value / side)
    let right = value % side
    for (let round = 0; round < 6; round++) {
      const mixed = (left ^ mix(right, keyLow, keyHigh, round)) & (side - 1)
      left = right
      right = mixed
    }
    value = left * side + right
  } while (value >= length)
  return value
}

const mix = (value: number, keyLow: number, keyHigh: number, round: number): number => {
  let h = scramble((value + Math.imul(round + 1, 0x9e3779b9)) ^ keyLow)
  h = scramble((h + keyHigh) ^ Math.imul(round + 1, 0x85ebca6b))
  return h
}

/** @source finalizer of MurmurHash3, Appleby, public domain */
const scramble = (value: number): number => {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

let lastSeed: number | bigint | string | undefined
let lastKeys: readonly [number, number] = [0, 0]

/** Two 32-bit keys; the last seed's are remembered, since a sampler asks for one seed millions of times. */
const keysOf = (seed: number | bigint | string): readonly [number, number] => {
  if (seed === lastSeed) return lastKeys
  const text = `${typeof seed}:${String(seed)}`
  let low = 0x243f6a88
  let high = 0xb7e15162 | 0
  for (let i = 0; i < text.length; i++) {
    low = scramble(Math.imul(low, 31) + text.charCodeAt(i))
    high = scramble(Math.imul(high ^ low, 33) + text.charCodeAt(i))
  }
  lastSeed = seed
  lastKeys = [low, high]
  return lastKeys
}
