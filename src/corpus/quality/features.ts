// Hashed counts of word n-grams as features of the quality classifier.

import { type HashPair, hashText, mix32 } from '../hash/index.ts'
import { splitWords } from '../text/index.ts'

/** A sparse vector sorted by index, with L2 norm 1 so that long documents do not outweigh short ones. */
export interface Features {
  readonly indices: Uint32Array
  readonly values: Float32Array
}

export interface FeatureOptions {
  /** Maximum n of the word n-grams, 1 to 5. */
  readonly nGrams: number
  /** The vector has 2^bits elements. */
  readonly bits: number
  /** Maximum words read per document. */
  readonly maxWords: number
}

const pair: HashPair = { high: 0, low: 0 }

export const extractFeatures = (text: string, { nGrams, bits, maxWords }: FeatureOptions): Features => {
  // The first `maxWords` words are within so many characters, so the rest need not be split.
  const words = splitWords(text.length > maxWords * 20 ? text.slice(0, maxWords * 20) : text)
  const count = Math.min(words.length, maxWords)
  const hashes = new Uint32Array(count)
  for (let i = 0; i < count; i++) {
    const word = words[i].toLowerCase()
    hashText(word, 0, word.length, pair)
    hashes[i] = pair.low
  }
  const counts = new Map<number, number>()
  const shift = 32 - bits
  for (let i = 0; i < count; i++) {
    let hash = 0
    for (let n = 1; n <= nGrams && i + n <= count; n++) {
      hash = mix32(Math.imul(hash, 31) + hashes[i + n - 1] + n)
      const index = hash >>> shift
      counts.set(index, (counts.get(index) ?? 0) + 1)
    }
  }
  const indices = Uint32Array.from(counts.keys()).sort()
  const values = new Float32Array(indices.length)
  let squares = 0
  for (let i = 0; i < indices.length; i++) {
    // The logarithm keeps one repeated word from dominating.
    const value = 1 + Math.log(counts.get(indices[i])!)
    values[i] = value
    squares += value * value
  }
  const scale = squares === 0 ? 0 : 1 / Math.sqrt(squares)
  for (let i = 0; i < values.length; i++) values[i] *= scale
  return { indices, values }
}
