// Seeded random numbers for everything on the JavaScript side. The same seed gives the same numbers on every machine.
// Not for secrets, and not the generator of tensors, which lives in libtorch.
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
export const createRandom = (seed: number | bigint | string): Random => {
  return fromSeedText(`${typeof seed}:${String(seed)}`)
}

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
