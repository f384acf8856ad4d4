// MinHash signatures for near deduplication: one 64-bit key per band of hash functions for each document; two documents
// that share a key in any band count as near duplicates.
// @source Broder 1997 (MinHash); bands and rows: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4

import { z } from 'zod'
import { createRandom, parseConfig } from '../../core/index.ts'
import { base1, base2, mix32, power } from '../hash/index.ts'
import { blockShingles, createMinhashKernel, type MinhashKernel } from './minhash-kernel.ts'
import { hashWords, WordHashes } from './normalized-words.ts'

export const minhashOptions = z.strictObject({
  nGram: z.number().int().min(1).max(100).default(5).describe('words per shingle'),
  bands: z
    .number()
    .int()
    .min(1)
    .max(255)
    .default(14)
    .describe('number of bands; documents equal in any band are near duplicates'),
  rows: z.number().int().min(1).max(255).default(8).describe('hash functions per band; more are stricter'),
  seed: z.number().int().min(0).max(0xffffffff).default(1).describe('random seed of the hash functions'),
})
export type MinhashOptions = z.input<typeof minhashOptions>
type ResolvedMinhashOptions = z.output<typeof minhashOptions>

/** Probability that two documents of Jaccard similarity `similarity` share a band: 1 − (1 − s^rows)^bands. */
export const matchProbability = (similarity: number, { bands, rows }: { bands: number; rows: number }): number =>
  1 - (1 - similarity ** rows) ** bands

export const createMinhasher = (options: MinhashOptions = {}): Minhasher =>
  new Minhasher(parseConfig(minhashOptions, options, 'minhash'))

/** Makes the keys of texts. */
export class Minhasher {
  readonly #kernel: MinhashKernel
  readonly #words = new WordHashes()
  /** Powers that remove the oldest word from the rolling shingle hash. */
  readonly #leaving: readonly [number, number]

  constructor(readonly options: ResolvedMinhashOptions) {
    const random = createRandom(options.seed)
    const multipliers = new Int32Array(options.bands * options.rows * 2)
    for (let i = 0; i < multipliers.length; i++) multipliers[i] = random.uint32() | 1
    this.#kernel = createMinhashKernel(multipliers)
    this.#leaving = [power(base1, options.nGram), power(base2, options.nGram)]
  }

  /** One key per band; empty for a text without words. */
  signature(text: string): BigUint64Array {
    const words = this.#words
    hashWords(text, words)
    if (words.count === 0) return new BigUint64Array(0)
    const { shingles, minima } = this.#kernel
    minima.fill(0x7fffffff)
    const { pairs } = words
    const length = Math.min(this.options.nGram, words.count)
    const [leaving1, leaving2] = this.#leaving
    let rolling1 = 0
    let rolling2 = 0
    let filled = 0
    for (let i = 0; i < words.count; i++) {
      rolling1 = (Math.imul(rolling1, base1) + pairs[i * 2]) | 0
      rolling2 = (Math.imul(rolling2, base2) + pairs[i * 2 + 1]) | 0
      // A shorter document has one shingle of all its words, so no word is removed.
      if (i >= length) {
        rolling1 = (rolling1 - Math.imul(pairs[(i - length) * 2], leaving1)) | 0
        rolling2 = (rolling2 - Math.imul(pairs[(i - length) * 2 + 1], leaving2)) | 0
      }
      if (i < length - 1) continue
      shingles[filled] = mix32(rolling1 ^ rolling2)
      shingles[filled + 1] = mix32(rolling2)
      filled += 2
      if (filled === blockShingles * 2) {
        this.#kernel.update(blockShingles)
        filled = 0
      }
    }
    if (filled > 0) this.#kernel.update(filled / 2)
    return this.#bandKeys()
  }

  #bandKeys(): BigUint64Array {
    const { bands, rows } = this.options
    const { minima } = this.#kernel
    const keys = new BigUint64Array(bands)
    const halves = new Uint32Array(keys.buffer)
    for (let band = 0; band < bands; band++) {
      let first = band
      let second = ~band
      for (let row = band * rows; row < (band + 1) * rows; row++) {
        first = mix32(first ^ minima[row])
        second = mix32(Math.imul(second, 0x9e3779b1) + minima[row])
      }
      halves[band * 2] = first
      halves[band * 2 + 1] = second
    }
    return keys
  }
}

let last: { key: string; minhasher: Minhasher } | undefined

/** The signature of one text; the hash functions of the last options are cached. */
export const minhashSignature = (text: string, options: MinhashOptions = {}): BigUint64Array => {
  const key = JSON.stringify(options)
  if (last?.key !== key) last = { key, minhasher: createMinhasher(options) }
  return last.minhasher.signature(text)
}
