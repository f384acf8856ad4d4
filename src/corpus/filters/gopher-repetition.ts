// The repetition rules of Gopher: repeated lines, paragraphs and word n-grams, as shares of the document.
// N-grams are compared as numbers, not as strings: the ten sizes cost one hash lookup a word each.

import { z } from 'zod'
import { countCodePoints, splitWords, trim, wordRules } from '../text/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const share = z.number().min(0).max(1)
const limits = z.array(z.tuple([z.number().int().min(1).max(100), share]))

const config = z.strictObject({
  maxDuplicateLines: share.default(0.3).describe('largest share of lines that stood before'),
  maxDuplicateParagraphs: share.default(0.3).describe('largest share of paragraphs that stood before'),
  maxDuplicateLineCharacters: share.default(0.2).describe('largest share of characters in such lines'),
  maxDuplicateParagraphCharacters: share.default(0.2).describe('largest share of characters in such paragraphs'),
  topNGrams: limits
    .default([
      [2, 0.2],
      [3, 0.18],
      [4, 0.16],
    ])
    .describe('[n, largest share of characters in the most frequent n-gram]'),
  duplicateNGrams: limits
    .default([
      [5, 0.15],
      [6, 0.14],
      [7, 0.13],
      [8, 0.12],
      [9, 0.11],
      [10, 0.1],
    ])
    .describe('[n, largest share of characters in n-grams that stood before]'),
  words: z.enum(wordRules).default('english').describe('how the text is cut into words'),
})

export const gopherRepetition = defineFilter({
  type: 'gopher-repetition',
  config,
  source: 'arXiv:2112.11446 table A1; counting as in huggingface/datatrove',
  summary: 'Drops documents that repeat their own lines, paragraphs or word sequences too much.',
  reasons: [
    'empty',
    'duplicate-paragraphs',
    'duplicate-paragraph-characters',
    'duplicate-lines',
    'duplicate-line-characters',
    'top-n-gram',
    'duplicate-n-grams',
  ],
  create(options) {
    const sizes = new Map<number, { top?: number; duplicate?: number }>()
    for (const [n, limit] of options.topNGrams) sizes.set(n, { ...sizes.get(n), top: limit })
    for (const [n, limit] of options.duplicateNGrams) sizes.set(n, { ...sizes.get(n), duplicate: limit })
    const largest = Math.max(0, ...sizes.keys())
    return {
      apply({ text }) {
        if (text === '') return drop('empty')
        const length = countCodePoints(text)

        const paragraphs = trim(text).split(/\n{2,}/)
        const repeatedParagraphs = countRepeated(paragraphs)
        let ratio = repeatedParagraphs.count / paragraphs.length
        if (ratio > options.maxDuplicateParagraphs) return drop('duplicate-paragraphs', ratio)
        ratio = repeatedParagraphs.characters / length
        if (ratio > options.maxDuplicateParagraphCharacters) return drop('duplicate-paragraph-characters', ratio)

        const lines = text.split(/\n+/)
        const repeatedLines = countRepeated(lines)
        ratio = repeatedLines.count / lines.length
        if (ratio > options.maxDuplicateLines) return drop('duplicate-lines', ratio)
        ratio = repeatedLines.characters / length
        if (ratio > options.maxDuplicateLineCharacters) return drop('duplicate-line-characters', ratio)

        const grams = new NGrams(splitWords(text, options.words))
        let duplicate: { n: number; ratio: number } | undefined
        for (let n = 1; n <= largest; n++) {
          const limit = sizes.get(n)
          if (limit?.top !== undefined && grams.count > 0) {
            ratio = grams.topCharacters() / length
            if (ratio > limit.top) return drop('top-n-gram', `${n}: ${ratio.toFixed(4)}`)
          }
          if (limit?.duplicate !== undefined && duplicate === undefined) {
            ratio = grams.duplicateCharacters() / length
            if (ratio > limit.duplicate) duplicate = { n, ratio }
          }
          if (n < largest) grams.lengthen()
        }
        // Reported last, as the reference tests all top n-grams before any duplicate.
        if (duplicate !== undefined) return drop('duplicate-n-grams', `${duplicate.n}: ${duplicate.ratio.toFixed(4)}`)
        return keep
      },
    }
  },
})

/** How many parts stood before, and their characters. */
export function countRepeated(parts: readonly string[]): { count: number; characters: number } {
  const seen = new Set<string>()
  let count = 0
  let characters = 0
  for (const part of parts) {
    if (seen.has(part)) {
      count++
      characters += countCodePoints(part)
    } else {
      seen.add(part)
    }
  }
  return { count, characters }
}

/** All n-grams of a word list for one n after the other; equal n-grams have equal ids. */
class NGrams {
  #n = 1
  /** Id of the n-gram that starts at each word; only the first `count` entries hold. */
  readonly #ids: Int32Array
  readonly #words: Int32Array
  /** Characters of the words before each word. */
  readonly #offsets: Float64Array
  readonly #slots: Int32Array
  readonly #mask: number

  constructor(words: readonly string[]) {
    const ids = new Map<string, number>()
    this.#words = new Int32Array(words.length)
    this.#offsets = new Float64Array(words.length + 1)
    for (let i = 0; i < words.length; i++) {
      let id = ids.get(words[i])
      if (id === undefined) ids.set(words[i], (id = ids.size))
      this.#words[i] = id
      this.#offsets[i + 1] = this.#offsets[i] + countCodePoints(words[i])
    }
    this.#ids = this.#words.slice()
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(2, words.length * 2)))
    this.#mask = capacity - 1
    this.#slots = new Int32Array(capacity * 3)
  }

  get count(): number {
    return Math.max(0, this.#words.length - this.#n + 1)
  }

  /** From n to n + 1: each n-gram paired with the word after it, exactly, in an open-addressed table. */
  lengthen(): void {
    const slots = this.#slots.fill(0)
    const ids = this.#ids
    this.#n++
    const count = this.count
    for (let i = 0; i < count; i++) {
      const head = ids[i]
      const word = this.#words[i + this.#n - 1]
      let slot = (Math.imul(head ^ Math.imul(word, 0x9e3779b1), 0x85ebca6b) >>> 7) & this.#mask
      for (;;) {
        const at = slot * 3
        if (slots[at] === 0) {
          // Ids are positions, so they need no counter and fit the words' range.
          slots[at] = i + 1
          slots[at + 1] = head
          slots[at + 2] = word
          ids[i] = i
          break
        }
        if (slots[at + 1] === head && slots[at + 2] === word) {
          ids[i] = slots[at] - 1
          break
        }
        slot = (slot + 1) & this.#mask
      }
    }
  }

  /** Characters in all copies of the most frequent n-gram, single spaces between its words. */
  topCharacters(): number {
    const counts = new Int32Array(this.#words.length)
    const count = this.count
    let most = 0
    for (let i = 0; i < count; i++) most = Math.max(most, ++counts[this.#ids[i]])
    // Of equally frequent ones the first counts.
    const seen = new Uint8Array(this.#words.length)
    for (let i = 0; i < count; i++) {
      const id = this.#ids[i]
      if (seen[id] === 1) continue
      seen[id] = 1
      if (counts[id] === most) return (this.#characters(i) + this.#n - 1) * most
    }
    return 0
  }

  /** Characters in n-grams that stood before, not overlapping, without spaces. */
  duplicateCharacters(): number {
    const seen = new Uint8Array(this.#words.length)
    const count = this.count
    let characters = 0
    for (let i = 0; i < count; ) {
      const id = this.#ids[i]
      if (seen[id] === 1) {
        characters += this.#characters(i)
        i += this.#n
      } else {
        seen[id] = 1
        i++
      }
    }
    return characters
  }

  #characters(start: number): number {
    return this.#offsets[start + this.#n] - this.#offsets[start]
  }
}
