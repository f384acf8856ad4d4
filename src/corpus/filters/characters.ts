// Statistics of characters: shares of special, alphanumeric and replacement characters, and repeated sequences.

import { z } from 'zod'
import { countCodePoints } from '../text/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const share = z.number().min(0).max(1)

const config = z.strictObject({
  maxSpecial: share.default(0.4).describe('largest share of digits, punctuation, symbols and white space'),
  minAlphanumeric: share.default(0.25).describe('smallest share of letters and digits'),
  maxUppercase: share.default(1).describe('largest share of capitals among the letters'),
  maxReplacement: share
    .default(0.01)
    .describe('largest share of U+FFFD and control characters, signs of a wrong decoding'),
  repetitionLength: z.number().int().min(1).max(1000).default(10).describe('length of the sequences in maxRepetition'),
  maxRepetition: share.default(0.106).describe('largest share of the most frequent character sequences'),
})

const special = /[^\p{L}\p{M}]/gu
const alphanumeric = /[\p{L}\p{N}]/gu
const letters = /\p{L}/gu
const capitals = /[\p{Lu}\p{Lt}]/gu
const replacements = /[\ufffd\x00-\x08\x0e-\x1f\x7f-\x9f]/g

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
        const length = countCodePoints(text)
        let ratio = count(text, replacements) / length
        if (ratio > options.maxReplacement) return drop('replacement', ratio)
        ratio = count(text, special) / length
        if (ratio > options.maxSpecial) return drop('special', ratio)
        ratio = count(text, alphanumeric) / length
        if (ratio < options.minAlphanumeric) return drop('alphanumeric', ratio)
        if (options.maxUppercase < 1) {
          ratio = count(text, capitals) / Math.max(1, count(text, letters))
          if (ratio > options.maxUppercase) return drop('uppercase', ratio)
        }
        if (options.maxRepetition < 1) {
          ratio = characterRepetition(text, options.repetitionLength)
          if (ratio > options.maxRepetition) return drop('repetition', ratio)
        }
        return keep
      },
    }
  },
})

function count(text: string, pattern: RegExp): number {
  let found = 0
  pattern.lastIndex = 0
  while (pattern.test(text)) found++
  return found
}

/**
 * Share of all character sequences of `n` that the √k most frequent of the k different ones make up, sequences that
 * occur once left out. Counted by UTF-16 unit over a rolling hash of 2 × 26 bits.
 * @source ROOTS, compute_character_repetition_ratio of bigscience-workshop/data-preparation
 */
export function characterRepetition(text: string, n: number): number {
  const total = text.length - n + 1
  if (total <= 0) return 0
  const frequencies = new Map<number, number>()
  const modulus = 2 ** 26
  let power1 = 1
  let power2 = 1
  for (let i = 1; i < n; i++) {
    power1 = Math.imul(power1, 0x01000193) >>> 0
    power2 = Math.imul(power2, 0x85ebca6b) >>> 0
  }
  let hash1 = 0
  let hash2 = 0
  for (let i = 0; i < text.length; i++) {
    if (i >= n) {
      const leaving = text.charCodeAt(i - n) + 1
      hash1 = (hash1 - Math.imul(leaving, power1)) | 0
      hash2 = (hash2 - Math.imul(leaving, power2)) | 0
    }
    const entering = text.charCodeAt(i) + 1
    hash1 = (Math.imul(hash1, 0x01000193) + entering) | 0
    hash2 = (Math.imul(hash2, 0x85ebca6b) + entering) | 0
    if (i >= n - 1) {
      // The low bits of these products depend on few characters; mix before cutting to 26 bits.
      const key = ((hash1 ^ (hash1 >>> 15)) >>> 6) * modulus + (Math.imul(hash2 ^ (hash2 >>> 16), 0x9e3779b1) >>> 6)
      frequencies.set(key, (frequencies.get(key) ?? 0) + 1)
    }
  }
  const repeated = [...frequencies.values()].filter((times) => times > 1).sort((a, b) => b - a)
  const top = Math.min(Math.floor(Math.sqrt(frequencies.size)), repeated.length)
  let sum = 0
  for (let i = 0; i < top; i++) sum += repeated[i]
  return sum / total
}
