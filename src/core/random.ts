// Seeded random numbers for everything on the JavaScript side. The same seed gives the same numbers on every machine.
// Not for secrets, and not the generator of tensors, which lives in libtorch.
import { invariant } from './errors.ts'
import { sha256 } from './hashing.ts'

/** A snapshot that JSON can hold: the four words of the generator, then the four that name its seed (for `fork`). */
export type RandomState = readonly number[]

export interface Random {
  /** An integer in [0, 2^32). */
  uint32(): number
  /** A number in [0, 1), a multiple of 2^-53. */
  float(): number
  /** An integer in [0, n), every value equally likely; n up to 2^53. */
  integer(n: number): number
  /** A draw from the standard normal distribution. */
  normal(): number
  /** Shuffles in place and returns the same array. */
  shuffle<Items extends { length: number; [index: number]: unknown }>(items: Items): Items
  state(): RandomState
  /** A generator of its own for `label`: depends on the seed and the label only, never on how much was drawn. */
  fork(label: string): Random
}

/** A generator that any number, bigint or text may seed. */
export const createRandom = (seed: number | bigint | string): Random => fromSeedText(`${typeof seed}:${String(seed)}`)

/** The generator that gave this state, at the point where it stood. */
export const restoreRandom = (state: RandomState): Random => {
  const valid = state.length === 8 && state.every((word) => Number.isInteger(word) && word >= 0 && word < 2 ** 32)
  if (!valid || state.slice(0, 4).every((word) => word === 0)) {
    throw new RangeError('Expected eight 32-bit words for `state`, got something else. Pass what `.state()` returned.')
  }
  return new Xoshiro(state)
}

const fromSeedText = (text: string): Random => {
  const digest = sha256(text)
  const words = Array.from({ length: 8 }, (_, i) => Number.parseInt(digest.slice(i * 8, i * 8 + 8), 16))
  return new Xoshiro(words)
}

/** @source xoshiro128** 1.1, Blackman and Vigna, arXiv:1805.01407 */
class Xoshiro implements Random {
  readonly #seed: readonly number[]
  #a: number
  #b: number
  #c: number
  #d: number

  constructor(state: readonly number[]) {
    this.#seed = state.slice(4)
    this.#a = state[0] | 0
    this.#b = state[1] | 0
    this.#c = state[2] | 0
    this.#d = state[3] | 0
  }

  uint32(): number {
    const scaled = Math.imul(this.#b, 5)
    const result = Math.imul((scaled << 7) | (scaled >>> 25), 9) >>> 0
    const shifted = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= shifted
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result
  }

  float(): number {
    const high = this.uint32() >>> 5
    const low = this.uint32() >>> 6
    return (high * 2 ** 26 + low) / 2 ** 53
  }

  integer(n: number): number {
    if (!(Number.isSafeInteger(n) && n > 0)) {
      throw new RangeError(`Expected an integer from 1 to 2^53 - 1 for \`n\`, got ${n}. Pass the number of choices.`)
    }
    const range = n <= 2 ** 32 ? 2 ** 32 : 2 ** 53
    const limit = range - (range % n)
    for (;;) {
      // Draws past the last whole multiple of n would favour small results.
      const draw = range === 2 ** 32 ? this.uint32() : (this.uint32() >>> 11) * 2 ** 32 + this.uint32()
      if (draw < limit) return draw % n
    }
  }

  normal(): number {
    // Box and Muller; the second value is left unused, so that the state needs no spare number.
    const radius = Math.sqrt(-2 * Math.log(1 - this.float()))
    return radius * Math.cos(2 * Math.PI * this.float())
  }

  shuffle<Items extends { length: number; [index: number]: unknown }>(items: Items): Items {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(i + 1)
      const item = items[i]
      items[i] = items[j]
      items[j] = item
    }
    return items
  }

  state(): RandomState {
    return [this.#a >>> 0, this.#b >>> 0, this.#c >>> 0, this.#d >>> 0, ...this.#seed]
  }

  fork(label: string): Random {
    return fromSeedText(`fork:${this.#seed.join(',')}:${label}`)
  }
}

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
