// Statistics of characters: shares of special, alphanumeric and replacement characters, and repeated sequences.

import { z } from 'zod'
import { mix32 } from '../hash/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const share = z.number().min(0).max(1)

const config = z.strictObject({
  maxSpecial: share.default(0.4).describe('maximum share of digits, punctuation, symbols and white space'),
  minAlphanumeric: share.default(0.25).describe('minimum share of letters and digits'),
  maxUppercase: share.default(1).describe('maximum share of capitals among letters'),
  maxReplacement: share
    .default(0.01)
    .describe('maximum share of U+FFFD and control characters, which show a wrong encoding'),
  repetitionLength: z.number().int().min(1).max(1000).default(10).describe('characters per sequence for maxRepetition'),
  maxRepetition: share.default(0.106).describe('maximum share of the most frequent character sequences'),
})

export const characters = defineFilter({
  type: 'characters',
  config,
  source:
    'ROOTS arXiv:2303.03915 (English: special 0.4, repetition 10 and 0.106); Codex arXiv:2107.03374 (alphanumeric 0.25)',
  summary: 'Drops documents with too many special, replacement or repeated characters, or too few letters and digits.',
  reasons: ['empty', 'special', 'alphanumeric', 'uppercase', 'replacement', 'repetition'],
  create(options) {
    return {
      apply({ text }) {
        if (text === '') return drop('empty')
        const count = countKinds(text)
        let ratio = count.replacements / count.all
        if (ratio > options.maxReplacement) return drop('replacement', ratio)
        ratio = count.special / count.all
        if (ratio > options.maxSpecial) return drop('special', ratio)
        ratio = count.alphanumeric / count.all
        if (ratio < options.minAlphanumeric) return drop('alphanumeric', ratio)
        ratio = count.capitals / Math.max(1, count.letters)
        if (ratio > options.maxUppercase) return drop('uppercase', ratio)
        if (options.maxRepetition < 1) {
          ratio = characterRepetition(text, options.repetitionLength)
          if (ratio > options.maxRepetition) return drop('repetition', ratio)
        }
        return keep
      },
    }
  },
})

/** Bits of the classes of a character. */
const letter = 1
const mark = 2
const number = 4
const capital = 8
const replacement = 16

const patterns: readonly [bit: number, pattern: RegExp][] = [
  [letter, /\p{L}/u],
  [mark, /\p{M}/u],
  [number, /\p{N}/u],
  [capital, /[\p{Lu}\p{Lt}]/u],
  [replacement, /[\ufffd\x00-\x08\x0e-\x1f\x7f-\x9f]/],
]

const kindOf = (character: string): number =>
  patterns.reduce((bits, [bit, pattern]) => (pattern.test(character) ? bits | bit : bits), 0)

/** Classes of each UTF-16 unit outside the surrogates. */
let unitKinds: Uint8Array | undefined

const countKinds = (text: string) => {
  unitKinds ??= Uint8Array.from({ length: 65_536 }, (_, unit) => kindOf(String.fromCharCode(unit)))
  const byKind = new Float64Array(32)
  let all = 0
  for (let i = 0; i < text.length; i++, all++) {
    const unit = text.charCodeAt(i)
    if (unit < 0xd800 || unit >= 0xe000) {
      byKind[unitKinds[unit]]++
    } else {
      const character = String.fromCodePoint(text.codePointAt(i)!)
      byKind[kindOf(character)]++
      i += character.length - 1
    }
  }
  const having = (bits: number) => byKind.reduce((sum, times, kind) => ((kind & bits) === 0 ? sum : sum + times), 0)
  return {
    all,
    special: all - having(letter | mark),
    alphanumeric: having(letter | number),
    letters: having(letter),
    capitals: having(capital),
    replacements: having(replacement),
  }
}

/** Only the start of longer texts is counted, so that the table below stays small. */
const repetitionSample = 2 ** 20

/**
 * Share of the √k most frequent of the k distinct character sequences of length `n` among all sequences, without those
 * that occur once. Counted by UTF-16 unit with a rolling hash of 64 bits.
 * @source ROOTS, compute_character_repetition_ratio of bigscience-workshop/data-preparation
 */
export const characterRepetition = (text: string, n: number): number => {
  const length = Math.min(text.length, repetitionSample)
  const total = length - n + 1
  if (total <= 0) return 0
  const capacity = 2 ** Math.ceil(Math.log2(total * 2))
  const hashes = new Int32Array(capacity * 2)
  const counts = new Int32Array(capacity)
  let power1 = 1
  let power2 = 1
  for (let i = 1; i < n; i++) {
    power1 = Math.imul(power1, 0x01000193)
    power2 = Math.imul(power2, 0x9e3779b1)
  }
  let hash1 = 0
  let hash2 = 0
  let different = 0
  for (let i = 0; i < length; i++) {
    if (i >= n) {
      const leaving = text.charCodeAt(i - n) + 1
      hash1 = (hash1 - Math.imul(leaving, power1)) | 0
      hash2 = (hash2 - Math.imul(leaving, power2)) | 0
    }
    const entering = text.charCodeAt(i) + 1
    hash1 = (Math.imul(hash1, 0x01000193) + entering) | 0
    hash2 = (Math.imul(hash2, 0x9e3779b1) + entering) | 0
    if (i < n - 1) continue
    let slot = mix32(hash1 ^ (hash2 >>> 7)) & (capacity - 1)
    while (counts[slot] !== 0 && (hashes[slot * 2] !== hash1 || hashes[slot * 2 + 1] !== hash2))
      slot = (slot + 1) & (capacity - 1)
    if (counts[slot] === 0) {
      hashes[slot * 2] = hash1
      hashes[slot * 2 + 1] = hash2
      different++
    }
    counts[slot]++
  }
  const repeated = counts.filter((times) => times > 1).sort()
  const top = Math.min(Math.floor(Math.sqrt(different)), repeated.length)
  let sum = 0
  for (let i = 1; i <= top; i++) sum += repeated[repeated.length - i]
  return sum / total
}
