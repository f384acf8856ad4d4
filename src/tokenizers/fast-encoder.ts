// Token ids without offsets, for training data: the text is cut into stretches that can be encoded by themselves, and
// the ids of each stretch are remembered. How a text may be cut follows from what the tokenizer's parts say of
// themselves; when nothing is known, the whole text goes the slow way. The ids are always those of `encode`.
import { cutsBefore } from './cuts.ts'
import { createSink, type Model } from './models/index.ts'
import { type Edges, type Normalizer, WHOLE } from './normalizers/index.ts'
import type { PreTokenizer, Scanner } from './pre-tokenizers/index.ts'
import { AlignedPiece, PlainPiece } from './text.ts'
import { classOf, LETTER, NUMBER } from './unicode.ts'
import { hashUnits, MAX_IDS, MAX_WORD, WordCache } from './word-cache.ts'

export type IdArray = Uint32Array | Uint16Array | Int32Array

export interface Parts {
  normalizer?: Normalizer
  preTokenizer?: PreTokenizer
  model: Model
}

/** Room that never has to be asked for twice: ids are added through it. */
export class IdBuffer {
  ids: Uint32Array
  count = 0

  constructor(capacity = 1024) {
    this.ids = new Uint32Array(capacity)
  }

  reserve(more: number): void {
    if (this.count + more <= this.ids.length) return
    const bigger = new Uint32Array(Math.max(this.ids.length * 2, this.count + more))
    bigger.set(this.ids.subarray(0, this.count))
    this.ids = bigger
  }

  push(id: number): void {
    if (this.count === this.ids.length) this.reserve(1)
    this.ids[this.count++] = id
  }
}

/** Encodes one stretch of text between added tokens; `atStart` says that it begins the original. */
export type StretchEncoder = (text: string, atStart: boolean, out: IdBuffer) => void

// Any place in the original but its start.
const ELSEWHERE = 1

/** Where in the original the first character that is left after normalizing stands, as far as it matters. */
export const firstPlace = ({ normalizer, preTokenizer }: Omit<Parts, 'model'>, text: string): number => {
  if (normalizer === undefined || preTokenizer?.mindsStart !== true) return 0
  const piece = new AlignedPiece(text, 0)
  normalizer.align(piece)
  return piece.text === '' ? ELSEWHERE : piece.original(0, 1)[0]
}

/** The ids of a text by the plain road: normalize, pre-tokenize, model. */
const encodePlainly = (
  { normalizer, preTokenizer, model }: Parts,
  text: string,
  edges: Edges,
  atStart: boolean,
): number[] => {
  const sink = createSink()
  const normalized = normalizer?.normalize(text, edges) ?? text
  const piece = new PlainPiece(
    normalized,
    atStart && edges.first ? firstPlace({ normalizer, preTokenizer }, text) : ELSEWHERE,
  )
  const pieces = preTokenizer?.split([piece]) ?? [piece]
  for (const { text: word } of pieces) if (word !== '') model.tokenize(word, sink)
  return sink.ids
}

/** Chooses the fastest road that the parts allow. */
export const createStretchEncoder = (parts: Parts): StretchEncoder => {
  const { normalizer, preTokenizer, model } = parts
  const pieces = preTokenizer?.scanner
  if (preTokenizer !== undefined && pieces !== undefined && normalizer?.cutsAtAscii !== true)
    return pieceEncoder(parts, pieces(), preTokenizer)
  const asciiCuts =
    preTokenizer?.isolatesAscii === true && (normalizer === undefined || normalizer.cutsAtAscii === true)
  if (asciiCuts) return cutEncoder(parts, asciiScanner, false)
  const leads = cutsBefore(
    [normalizer, preTokenizer].filter((part) => part !== undefined),
    ' ',
  )
  const bears = leads !== undefined && [...leads].every((lead) => model.bearsCut(lead))
  if (bears) return cutEncoder(parts, spaceScanner(parts, leads), normalizer?.minds === 'end')
  const encodeNormalized = createNormalizedEncoder(parts)
  return (text, atStart, out) =>
    encodeNormalized(normalizer?.normalize(text, WHOLE) ?? text, atStart && firstPlace(parts, text) === 0, out)
}

const MAX_REMEMBERED = 1 << 17

/** Encodes text that is normalized already, without cuts; words are remembered. */
export const createNormalizedEncoder = ({ preTokenizer, model }: Parts): StretchEncoder => {
  const memo = new Map<string, number[]>()
  return (text, atStart, out) => {
    const piece = new PlainPiece(text, atStart ? 0 : ELSEWHERE)
    for (const { text: word } of preTokenizer?.split([piece]) ?? [piece]) {
      if (word === '') continue
      let ids = memo.get(word)
      if (ids === undefined) {
        const sink = createSink()
        model.tokenize(word, sink)
        ids = sink.ids
        if (memo.size >= MAX_REMEMBERED) memo.clear()
        if (word.length <= MAX_WORD) memo.set(word, ids)
      }
      for (const id of ids) out.push(id)
    }
  }
}

/** Cuts normalized text as the pre-tokenizer does; each piece is a word of the model. */
const pieceEncoder = ({ normalizer, model }: Parts, scanner: Scanner, preTokenizer: PreTokenizer): StretchEncoder => {
  const { finish, prefix } = preTokenizer
  const encodeMiss = (piece: string): number[] => {
    const sink = createSink()
    model.tokenize(finish?.(piece) ?? piece, sink)
    return sink.ids
  }
  const units = new UnitBuffer()
  const cache = new WordCache()
  return (text, _atStart, out) => {
    let normalized = normalizer?.normalize(text, WHOLE) ?? text
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
      const place = cache.find(units, start, end, hash)
      if (place < 0) {
        const ids = encodeMiss(text.slice(start, end))
        cache.add(units, start, end, hash, ids)
        for (const id of ids) out.push(id)
      } else {
        if (out.count + MAX_IDS > out.ids.length) out.reserve(1 << 15)
        out.count = cache.copy(place, out.ids, out.count)
      }
    }
    start = end
  }
}

/** Cuts raw text where every part bears it; each stretch goes through all parts once. */
const cutEncoder = (parts: Parts, scanner: Scanner, mindsEnd: boolean): StretchEncoder => {
  const units = new UnitBuffer()
  const cache = new WordCache()
  const middle: Edges = { first: false, last: false }
  const encodeMiss = (piece: string) => encodePlainly(parts, piece, middle, false)
  return (text, atStart, out) => {
    const all = units.fill(text)
    const limit = text.length
    // The first stretch may get a prefix or lose white space, and the last too: they hold at least one sure character.
    let head = 0
    while (head < limit && !hasSureCharacter(all, 0, head)) head = scanner.next(all, head, limit)
    let tail = limit
    if (mindsEnd) {
      while (tail > head && !isSure(all[tail - 1])) tail--
      // Back to the start of the stretch that holds the sure character.
      let start = head
      for (let end = head; end < tail; ) {
        start = end
        end = scanner.next(all, end, limit)
      }
      tail = Math.max(head, start)
    }
    for (const id of encodePlainly(parts, text.slice(0, head), { first: true, last: head === limit }, atStart))
      out.push(id)
    encodeUnits(text, all, head, tail, scanner, cache, encodeMiss, out)
    if (tail < limit)
      for (const id of encodePlainly(parts, text.slice(tail), { first: false, last: true }, false)) out.push(id)
  }
}

const isSure = (unit: number): boolean =>
  (unit >= 0x61 && unit <= 0x7a) || (unit >= 0x41 && unit <= 0x5a) || (unit >= 0x30 && unit <= 0x39)

const hasSureCharacter = (units: Uint16Array, start: number, end: number): boolean => {
  for (let i = start; i < end; i++) if (isSure(units[i])) return true
  return false
}

/** The text as UTF-16 units, in a buffer that is used again and again. */
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
for (let code = 0x21; code < 0x7f; code++) if (!isSure(code)) asciiKinds[code] = MARKER

/** A word or a punctuation character, with a space before it. Everything outside ASCII counts as part of words. */
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

// Characters that make one grapheme with whatever follows them, even a space.
const PREPENDED =
  /[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\u{110bd}\u{110cd}\u{111c2}\u{111c3}\u{1193f}\u{11941}\u{11a3a}\u{11a84}-\u{11a89}\u{11d46}\u{11f02}]/u

/** Spaces and what follows them, up to the next space that may be cut before. */
const spaceScanner = ({ normalizer }: Parts, leads: string): Scanner => {
  const UNKNOWN = 0
  const FIRM = 1
  const LOOSE = 2
  const memo = new Uint8Array(0x10000)
  // Whether a space after this character stands after the same character once normalized.
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
        // A mark on the space would be part of it.
        const next = at + 1 < limit ? units[at + 1] : 32
        if (next < 0x300 || (classOf(next) & (LETTER | NUMBER)) !== 0) return at
      }
      return limit
    },
  }
}
