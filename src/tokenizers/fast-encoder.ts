// Fast encoding to token ids without offsets, for training data: splits the text into segments that can be encoded
// independently, and caches the ids of each. The normalizer, pre-tokenizer and model declare where a split is safe; if
// it is never safe, the whole text is encoded at once. The ids always equal those of `encode`.

import { safeSplitBeforeAll } from './components.ts'
import { larger } from './larger.ts'
import { createTokenSink, type Model } from './models/index.ts'
import { type Normalizer, type SegmentEdges, WHOLE_SEGMENT } from './normalizers/index.ts'
import type { PreTokenizer, Scanner } from './pre-tokenizers/index.ts'
import { AlignedPiece, PlainPiece } from './text.ts'
import { classOf, LETTER, NUMBER } from './unicode.ts'
import { hashUnits, MAX_IDS, MAX_WORD, WordCache } from './word-cache.ts'

/** A typed array of token ids. */
export type IdArray = Uint32Array | Uint16Array | Int32Array

/** The parts of a tokenizer that turn text into ids. */
export interface TokenizerParts {
  normalizer?: Normalizer
  preTokenizer?: PreTokenizer
  model: Model
}

/** A growing buffer of token ids. */
export class IdBuffer {
  ids = new Uint32Array(1 << 16)
  count = 0

  reserve(more: number): void {
    if (this.count + more > this.ids.length)
      this.ids = larger(this.ids, Math.max(this.ids.length * 2, this.count + more))
  }

  push(id: number): void {
    if (this.count === this.ids.length) this.reserve(1)
    this.ids[this.count++] = id
  }
}

/** Encodes the text between two added tokens; `atStart` is true at the start of the original text. */
export type SegmentEncoder = (text: string, atStart: boolean, out: IdBuffer) => void

// Stands for any offset in the original text except its start.
const ELSEWHERE = 1

/** Original offset of the first character that normalization keeps; 0 where the pre-tokenizer does not need it. */
export const firstOriginalOffset = (
  { normalizer, preTokenizer }: Omit<TokenizerParts, 'model'>,
  text: string,
): number => {
  if (normalizer === undefined || preTokenizer?.dependsOnStart !== true) return 0
  const piece = new AlignedPiece(text, 0)
  normalizer.align(piece)
  return piece.text === '' ? ELSEWHERE : piece.original(0, 1)[0]
}

/** Encodes text without splitting or caching: normalizer, pre-tokenizer, model. */
const encodeDirectly = (
  { normalizer, preTokenizer, model }: TokenizerParts,
  text: string,
  edges: SegmentEdges,
  atStart: boolean,
): number[] => {
  const sink = createTokenSink()
  const normalized = normalizer?.normalize(text, edges) ?? text
  const piece = new PlainPiece(
    normalized,
    atStart && edges.first ? firstOriginalOffset({ normalizer, preTokenizer }, text) : ELSEWHERE,
  )
  const pieces = preTokenizer?.split([piece]) ?? [piece]
  for (const { text: word } of pieces) if (word !== '') model.tokenize(word, sink)
  return sink.ids
}

/** Chooses the fastest exact encoder for these parts. */
export const createSegmentEncoder = (parts: TokenizerParts): SegmentEncoder => {
  const { normalizer, preTokenizer, model } = parts
  const pieces = preTokenizer?.scanner
  if (preTokenizer !== undefined && pieces !== undefined && normalizer?.splitsSafelyAtAscii !== true)
    return pieceEncoder(parts, pieces(), preTokenizer)
  const splitsAtAscii =
    preTokenizer?.isolatesAscii === true && (normalizer === undefined || normalizer.splitsSafelyAtAscii === true)
  if (splitsAtAscii) return splitEncoder(parts, asciiScanner, false)
  const leads = safeSplitBeforeAll(
    [normalizer, preTokenizer].filter((part) => part !== undefined),
    ' ',
  )
  const isSafe = leads !== undefined && [...leads].every((lead) => model.allowsSplitBefore(lead))
  if (isSafe) return splitEncoder(parts, spaceScanner(parts, leads), normalizer?.dependsOn === 'end')
  const encodeNormalized = createNormalizedEncoder(parts)
  return (text, atStart, out) =>
    encodeNormalized(
      normalizer?.normalize(text, WHOLE_SEGMENT) ?? text,
      atStart && firstOriginalOffset(parts, text) === 0,
      out,
    )
}

const MAX_CACHED_WORDS = 1 << 17

/** Encodes text that is already normalized, with a cache of words. */
export const createNormalizedEncoder = ({ preTokenizer, model }: TokenizerParts): SegmentEncoder => {
  const memo = new Map<string, number[]>()
  return (text, atStart, out) => {
    const piece = new PlainPiece(text, atStart ? 0 : ELSEWHERE)
    for (const { text: word } of preTokenizer?.split([piece]) ?? [piece]) {
      if (word === '') continue
      let ids = memo.get(word)
      if (ids === undefined) {
        const sink = createTokenSink()
        model.tokenize(word, sink)
        ids = sink.ids
        if (memo.size >= MAX_CACHED_WORDS) memo.clear()
        if (word.length <= MAX_WORD) memo.set(word, ids)
      }
      for (const id of ids) out.push(id)
    }
  }
}

/** Splits normalized text with the pre-tokenizer's scanner and encodes each word, with a cache. */
const pieceEncoder = (
  { normalizer, model }: TokenizerParts,
  scanner: Scanner,
  preTokenizer: PreTokenizer,
): SegmentEncoder => {
  const { finish, prefix } = preTokenizer
  const encodeMiss = (piece: string): number[] => {
    const sink = createTokenSink()
    model.tokenize(finish?.(piece) ?? piece, sink)
    return sink.ids
  }
  const units = new UnitBuffer()
  const cache = new WordCache()
  return (text, _atStart, out) => {
    let normalized = normalizer?.normalize(text, WHOLE_SEGMENT) ?? text
    if (prefix !== undefined && normalized !== '' && !normalized.startsWith(prefix)) normalized = prefix + normalized
    scanner.begin?.(normalized)
    encodeUnits(normalized, units.fill(normalized), 0, normalized.length, scanner, cache, encodeMiss, out)
  }
}

const encodeUnits = (
  text: string,
  units: Uint16Array,
  from: number,
  limit: number,
  scanner: Scanner,
  cache: WordCache,
  encodeMiss: (piece: string) => number[],
  out: IdBuffer,
): void => {
  for (let start = from; start < limit; ) {
    const end = scanner.next(units, start, limit)
    if (end - start > MAX_WORD) {
      for (const id of encodeMiss(text.slice(start, end))) out.push(id)
    } else {
      const hash = hashUnits(units, start, end)
      const index = cache.find(units, start, end, hash)
      if (index < 0) {
        const ids = encodeMiss(text.slice(start, end))
        cache.add(units, start, end, hash, ids)
        for (const id of ids) out.push(id)
      } else {
        if (out.count + MAX_IDS > out.ids.length) out.reserve(1 << 15)
        out.count = cache.copy(index, out.ids, out.count)
      }
    }
    start = end
  }
}

/** Splits raw text at safe split points; each distinct segment goes through all parts once. */
const splitEncoder = (parts: TokenizerParts, scanner: Scanner, dependsOnEnd: boolean): SegmentEncoder => {
  const units = new UnitBuffer()
  const cache = new WordCache()
  const middle: SegmentEdges = { first: false, last: false }
  const encodeMiss = (piece: string) => encodeDirectly(parts, piece, middle, false)
  return (text, atStart, out) => {
    const all = units.fill(text)
    const limit = text.length
    // Normalizers may add a prefix to the first segment or strip white space at both ends, so the first and the last
    // segment are encoded directly, and each must hold a letter or digit that normalization keeps.
    let head = 0
    while (head < limit && !hasAlphanumeric(all, 0, head)) head = scanner.next(all, head, limit)
    let tail = limit
    if (dependsOnEnd) {
      while (tail > head && !isAlphanumeric(all[tail - 1])) tail--
      // Back to the start of the segment with the last letter or digit.
      let start = head
      for (let end = head; end < tail; ) {
        start = end
        end = scanner.next(all, end, limit)
      }
      tail = Math.max(head, start)
    }
    for (const id of encodeDirectly(parts, text.slice(0, head), { first: true, last: head === limit }, atStart))
      out.push(id)
    encodeUnits(text, all, head, tail, scanner, cache, encodeMiss, out)
    if (tail < limit)
      for (const id of encodeDirectly(parts, text.slice(tail), { first: false, last: true }, false)) out.push(id)
  }
}

const isAlphanumeric = (unit: number): boolean =>
  (unit >= 0x61 && unit <= 0x7a) || (unit >= 0x41 && unit <= 0x5a) || (unit >= 0x30 && unit <= 0x39)

const hasAlphanumeric = (units: Uint16Array, start: number, end: number): boolean => {
  for (let i = start; i < end; i++) if (isAlphanumeric(units[i])) return true
  return false
}

/** The text as UTF-16 units, in a reused buffer. */
class UnitBuffer {
  #bytes = Buffer.alloc(1 << 16)

  fill(text: string): Uint16Array {
    if (this.#bytes.length < text.length * 2) this.#bytes = Buffer.alloc(text.length * 4)
    this.#bytes.write(text, 'utf16le')
    return new Uint16Array(this.#bytes.buffer, this.#bytes.byteOffset, text.length)
  }
}

const BLANK = 1
const MARKER = 2
const asciiKinds = new Uint8Array(0x10000)
for (const character of '\t\n\r ') asciiKinds[character.charCodeAt(0)] = BLANK
for (let code = 0x21; code < 0x7f; code++) if (!isAlphanumeric(code)) asciiKinds[code] = MARKER

/** Segments of one word or one punctuation character, with a space before it; non-ASCII counts as part of words. */
const asciiScanner: Scanner = {
  limited: true,
  next(units, start, limit) {
    let at = start
    if (units[at] === 32 && at + 1 < limit) at++
    const kind = asciiKinds[units[at]]
    at++
    if (kind === MARKER) return at
    while (at < limit && asciiKinds[units[at]] === kind) at++
    return at
  },
}

// Characters (grapheme property Prepend) that form one grapheme with the character after them, even a space.
const PREPENDED =
  /[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\u{110bd}\u{110cd}\u{111c2}\u{111c3}\u{1193f}\u{11941}\u{11a3a}\u{11a84}-\u{11a89}\u{11d46}\u{11f02}]/u

/** Segments of spaces and the text after them, up to the next space before which a split is safe. */
const spaceScanner = ({ normalizer }: TokenizerParts, leads: string): Scanner => {
  const UNKNOWN = 0
  const FIRM = 1
  const LOOSE = 2
  const memo = new Uint8Array(0x10000)
  // Whether a space after this character still follows a character other than a space once normalized.
  const isFirm = (unit: number): boolean => {
    if (memo[unit] === UNKNOWN) {
      const character = String.fromCharCode(unit)
      const after = normalizer?.normalize(character, { first: false, last: false }) ?? character
      const last = after.at(-1)
      const firm = last !== undefined && last !== ' ' && !leads.includes(last) && last !== '▁'
      memo[unit] = firm && !(unit >= 0xd800 && unit <= 0xdfff) && !PREPENDED.test(character) ? FIRM : LOOSE
    }
    return memo[unit] === FIRM
  }
  return {
    limited: true,
    next(units, start, limit) {
      let at = start
      while (at < limit && units[at] === 32) at++
      for (; at < limit; at++) {
        if (units[at] !== 32 || at === start || !isFirm(units[at - 1])) continue
        // A combining mark after the space would belong to it.
        const next = at + 1 < limit ? units[at + 1] : 32
        if (next < 0x300 || (classOf(next) & (LETTER | NUMBER)) !== 0) return at
      }
      return limit
    },
  }
}
