// The repetition rules of Gopher: shares of repeated lines, paragraphs and word n-grams in a document. N-grams are
// compared as numbers, at one hash look-up per word and size.

import { z } from 'zod'
import { countCodePoints, splitWords, trim, wordRules } from '../text/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const share = z.number().min(0).max(1)
const limits = z.array(z.tuple([z.number().int().min(1).max(100), share]))

const config = z.strictObject({
  maxDuplicateLines: share.default(0.3).describe('maximum share of duplicate lines'),
  maxDuplicateParagraphs: share.default(0.3).describe('maximum share of duplicate paragraphs'),
  maxDuplicateLineCharacters: share.default(0.2).describe('maximum share of characters in duplicate lines'),
  maxDuplicateParagraphCharacters: share.default(0.2).describe('maximum share of characters in duplicate paragraphs'),
  topNGrams: limits
    .default([
      [2, 0.2],
      [3, 0.18],
      [4, 0.16],
    ])
    .describe('pairs of n and the maximum share of characters in the most frequent n-gram'),
  duplicateNGrams: limits
    .default([
      [5, 0.15],
      [6, 0.14],
      [7, 0.13],
      [8, 0.12],
      [9, 0.11],
      [10, 0.1],
    ])
    .describe('pairs of n and the maximum share of characters in duplicate n-grams'),
  words: z.enum(wordRules).default('english').describe('rule for splitting words'),
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

/** Number of duplicate parts and their characters. */
export const countRepeated = (parts: readonly string[]): { count: number; characters: number } => {
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

/**
 * All n-grams of a word list for increasing n; equal n-grams have equal ids. Only positions whose n-gram occurs more
 * than once are extended, since no longer n-gram can repeat elsewhere.
 */
class NGrams {
  #n = 1
  readonly #words: Int32Array
  /** Characters of the words before each word. */
  readonly #offsets: Float64Array
  /** Positions of repeated n-grams, ascending; only the first `#repeated` elements are used. */
  readonly #places: Int32Array
  #repeated = 0
  /** Id of the n-gram at each of those positions: the first position of the n-gram. */
  readonly #ids: Int32Array
  /** Occurrences of each n-gram, by id. */
  readonly #counts: Int32Array
  readonly #marks: Int32Array
  #mark = 0
  #slots = new Int32Array(0)

  constructor(words: readonly string[]) {
    const first = new Map<string, number>()
    const size = words.length
    this.#words = new Int32Array(size)
    this.#offsets = new Float64Array(size + 1)
    this.#places = new Int32Array(size)
    this.#ids = new Int32Array(size)
    this.#counts = new Int32Array(size)
    this.#marks = new Int32Array(size)
    for (let i = 0; i < size; i++) {
      let id = first.get(words[i])
      if (id === undefined) first.set(words[i], (id = i))
      this.#words[i] = id
      this.#ids[i] = id
      this.#counts[id]++
      this.#offsets[i + 1] = this.#offsets[i] + countCodePoints(words[i])
    }
    for (let i = 0; i < size; i++) if (this.#counts[this.#ids[i]] > 1) this.#places[this.#repeated++] = i
  }

  get count(): number {
    return Math.max(0, this.#words.length - this.#n + 1)
  }

  /** From n to n + 1: each n-gram paired with the word after it, exactly, in an open-addressed table. */
  lengthen(): void {
    const { count } = this
    this.#n++
    const candidates = this.#repeated
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(2, candidates * 2)))
    if (this.#slots.length < capacity * 3) this.#slots = new Int32Array(capacity * 3)
    else this.#slots.fill(0, 0, capacity * 3)
    const slots = this.#slots
    const mask = capacity - 1
    const found: number[] = []
    for (let k = 0; k < candidates; k++) {
      const place = this.#places[k]
      if (place >= count - 1) break
      const head = this.#ids[place]
      const word = this.#words[place + this.#n - 1]
      let slot = (Math.imul(head ^ Math.imul(word, 0x9e3779b1), 0x85ebca6b) >>> 7) & mask
      while (slots[slot * 3] !== 0 && (slots[slot * 3 + 1] !== head || slots[slot * 3 + 2] !== word))
        slot = (slot + 1) & mask
      if (slots[slot * 3] === 0) {
        slots[slot * 3] = place + 1
        slots[slot * 3 + 1] = head
        slots[slot * 3 + 2] = word
        this.#counts[place] = 0
      }
      const id = slots[slot * 3] - 1
      this.#counts[id]++
      found.push(id)
    }
    this.#repeated = 0
    for (let k = 0; k < found.length; k++) {
      const place = this.#places[k]
      this.#ids[place] = found[k]
      if (this.#counts[found[k]] > 1) this.#places[this.#repeated++] = place
    }
  }

  /** Characters in all copies of the most frequent n-gram, single spaces between its words. */
  topCharacters(): number {
    let most = 1
    // Among equally frequent n-grams, the first one counts.
    let top = 0
    for (let k = 0; k < this.#repeated; k++) {
      const id = this.#ids[this.#places[k]]
      if (this.#counts[id] > most) {
        most = this.#counts[id]
        top = id
      }
    }
    return (this.#characters(top) + this.#n - 1) * most
  }

  /** Characters in duplicate n-grams, not overlapping, without spaces. */
  duplicateCharacters(): number {
    const mark = ++this.#mark
    let characters = 0
    let free = 0
    for (let k = 0; k < this.#repeated; k++) {
      const place = this.#places[k]
      if (place < free) continue
      const id = this.#ids[place]
      if (this.#marks[id] === mark) {
        characters += this.#characters(place)
        free = place + this.#n
      } else {
        this.#marks[id] = mark
      }
    }
    return characters
  }

  #characters(start: number): number {
    return this.#offsets[start + this.#n] - this.#offsets[start]
  }
}
