// The initial vocabulary of training: special tokens and single bytes or characters, and the words in these symbols.
import { BYTE_ALPHABET } from '../byte-level.ts'
import type { TokenList } from './learn-merges.ts'
import type { SymbolWords } from './pair-store.ts'
import { codePointAt, sequenceLength } from './scanners.ts'
import type { WordTableData } from './word-table.ts'

/** Options of `startVocabulary`. */
export interface AlphabetOptions {
  /** Use the 256 bytes as symbols. */
  byteLevel: boolean
  /** Special tokens; they get the first ids, in this order. */
  specialTokens: readonly string[]
  /** Maximum number of characters; the most frequent are kept. Words with other characters are not trained on. */
  limitAlphabet?: number
  /** Characters that are always kept. */
  initialAlphabet: string
  /** Prefix of a character that does not start a word (`##`). */
  continuingPrefix: string
}

/** Creates a vocabulary of special tokens and the alphabet, sorted by code point. */
export const startVocabulary = (
  words: WordTableData,
  options: AlphabetOptions,
): { list: TokenList; words: SymbolWords } => {
  const list: TokenList = { tokens: [], ids: new Map() }
  for (const token of options.specialTokens) addToken(list, token)
  if (options.byteLevel) {
    for (const token of [...BYTE_ALPHABET].sort()) addToken(list, token)
    const symbolOfByte = Int32Array.from(BYTE_ALPHABET, (token) => list.ids.get(token) as number)
    return {
      list,
      words: {
        symbols: Int32Array.from(
          words.bytes.subarray(0, words.ends[words.size - 1] ?? 0),
          (byte) => symbolOfByte[byte],
        ),
        ends: words.ends.slice(0, words.size),
        counts: words.counts,
      },
    }
  }
  return { list, words: writeInCharacters(words, list, options) }
}

const addToken = ({ tokens, ids }: TokenList, token: string): number => {
  const known = ids.get(token)
  if (known !== undefined) return known
  ids.set(token, tokens.length)
  return tokens.push(token) - 1
}

/** Weighted count of every character of `words`. */
export const countCharacters = (words: WordTableData): Map<number, number> => {
  const counts = new Map<number, number>()
  forEachCharacter(words, (code, _first, word) => counts.set(code, (counts.get(code) ?? 0) + words.counts[word]))
  return counts
}

/** Selects the characters to keep: `required`, then the most frequent; of equal counts, lower code points first. */
export const keepCharacters = (
  counts: Map<number, number>,
  required: string,
  limit = Number.POSITIVE_INFINITY,
): number[] => {
  const kept = new Set(Array.from(required, (character) => character.codePointAt(0) as number))
  for (const [code] of [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0])) {
    if (kept.size >= limit) break
    kept.add(code)
  }
  return [...kept].sort((a, b) => a - b)
}

const forEachCharacter = (words: WordTableData, visit: (code: number, first: boolean, word: number) => void): void => {
  for (let word = 0, at = 0; word < words.size; word++) {
    const start = at
    while (at < words.ends[word]) {
      visit(codePointAt(words.bytes, at), at === start, word)
      at += sequenceLength(words.bytes[at])
    }
  }
}

const writeInCharacters = (words: WordTableData, list: TokenList, options: AlphabetOptions): SymbolWords => {
  const { continuingPrefix } = options
  const characters = keepCharacters(countCharacters(words), options.initialAlphabet, options.limitAlphabet)
  const first = new Map(characters.map((code) => [code, addToken(list, String.fromCodePoint(code))]))
  const later = continuingPrefix === '' ? first : continuations(words, characters, list, continuingPrefix)
  const symbols = new Int32Array(words.ends[words.size - 1] ?? 0)
  const ends = new Uint32Array(words.size)
  const counts = new Float64Array(words.size)
  let written = 0
  let size = 0
  let whole = true
  const finish = (word: number) => {
    const start = size === 0 ? 0 : ends[size - 1]
    if (whole && written > start) {
      ends[size] = written
      counts[size++] = words.counts[word]
    } else written = start
    whole = true
  }
  let current = 0
  forEachCharacter(words, (code, isFirst, word) => {
    if (word !== current) {
      finish(current)
      current = word
    }
    const symbol = (isFirst ? first : later).get(code)
    if (symbol === undefined) whole = false
    else symbols[written++] = symbol
  })
  if (words.size > 0) finish(current)
  return { symbols, ends: ends.subarray(0, size), counts: counts.subarray(0, size) }
}

/** Tokens for the kept characters that occur inside words. */
const continuations = (
  words: WordTableData,
  characters: number[],
  list: TokenList,
  prefix: string,
): Map<number, number> => {
  const inside = new Set<number>()
  forEachCharacter(words, (code, isFirst) => {
    if (!isFirst) inside.add(code)
  })
  const kept = characters.filter((code) => inside.has(code))
  return new Map(kept.map((code) => [code, addToken(list, prefix + String.fromCodePoint(code))]))
}
