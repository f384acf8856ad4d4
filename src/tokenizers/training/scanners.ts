// Split UTF-8 text into the words of a pre-tokenizer and count them, without creating strings. Each scanner equals the
// regular expression or rule in its docstring.
import { larger } from '../larger.ts'
import { LETTER, NUMBER, WHITE_SPACE as SPACE, classOf as unicodeClassOf } from '../unicode.ts'
import type { WordTable } from './word-table.ts'

/** Class of characters that are neither letters nor numeric nor white space. */
const OTHER = 0

/** The class of a code point: LETTER, NUMBER, SPACE or OTHER. */
const classOf = (code: number): number => unicodeClassOf(code) & (LETTER | NUMBER | SPACE)

/** Classes of the first 128 code points. */
const ASCII_CLASSES = Uint8Array.from({ length: 128 }, (_, code) => classOf(code))

/** Length in bytes of the UTF-8 sequence that starts with `lead`. */
export const sequenceLength = (lead: number): number => (lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4)

/** The code point at `index`, the start of a well-formed sequence. */
export const codePointAt = (bytes: Uint8Array, index: number): number => {
  const lead = bytes[index]
  if (lead < 0x80) return lead
  if (lead < 0xe0) return ((lead & 31) << 6) | (bytes[index + 1] & 63)
  if (lead < 0xf0) return ((lead & 15) << 12) | ((bytes[index + 1] & 63) << 6) | (bytes[index + 2] & 63)
  return ((lead & 7) << 18) | ((bytes[index + 1] & 63) << 12) | ((bytes[index + 2] & 63) << 6) | (bytes[index + 3] & 63)
}

/** Adds the words of `bytes[start..end)`, well-formed UTF-8, to `table`, each `count` times. */
export type Scanner = (bytes: Uint8Array, start: number, end: number, table: WordTable, count: number) => void

// Classes by byte; bytes beyond ASCII need the whole character.
const BEYOND_ASCII = 255
const BYTE_CLASSES = new Uint8Array(256).fill(BEYOND_ASCII)
BYTE_CLASSES.set(ASCII_CLASSES)

const classAt = (bytes: Uint8Array, index: number): number => {
  const kind = BYTE_CLASSES[bytes[index]]
  return kind === BEYOND_ASCII ? classOf(codePointAt(bytes, index)) : kind
}

/** The end of the run of characters of class `target` that starts at `index`. */
const endOfRun = (bytes: Uint8Array, index: number, end: number, target: number): number => {
  const classes = BYTE_CLASSES
  for (;;) {
    while (index < end && classes[bytes[index]] === target) index++
    if (index >= end || bytes[index] < 0x80 || classOf(codePointAt(bytes, index)) !== target) return index
    index += sequenceLength(bytes[index])
  }
}

/** The start of the last character of `bytes[start..end)`. */
const lastCharacter = (bytes: Uint8Array, end: number): number => {
  do end--
  while ((bytes[end] & 0xc0) === 0x80)
  return end
}

/** Length of the English contraction (`'s`, `'ll` …) at the apostrophe at `index`; 0 if there is none. */
const contractionLength = (bytes: Uint8Array, index: number, end: number, caseMask: number): number => {
  if (index + 1 >= end) return 0
  const first = bytes[index + 1] | caseMask
  if (first === 0x73 || first === 0x74 || first === 0x6d || first === 0x64) return 2
  if (index + 2 >= end) return 0
  // U+017F, the long s, matches s case-insensitively.
  if (caseMask !== 0 && bytes[index + 1] === 0xc5 && bytes[index + 2] === 0xbf) return 3
  const second = bytes[index + 2] | caseMask
  if (first === 0x72 || first === 0x76) return second === 0x65 ? 3 : 0
  return first === 0x6c && second === 0x6c ? 3 : 0
}

/** `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` (GPT-2). */
export const scanGpt2: Scanner = (bytes, start, end, table, count) => {
  let at = start
  while (at < end) {
    if (bytes[at] === 0x27) {
      const length = contractionLength(bytes, at, end, 0)
      if (length > 0) {
        table.add(bytes, at, at + length, count)
        at += length
        continue
      }
    }
    let kind = classAt(bytes, at)
    let next = at
    if (bytes[at] === 0x20 && at + 1 < end) {
      const following = classAt(bytes, at + 1)
      if (following !== SPACE) {
        kind = following
        next = at + 1
      }
    }
    next = endOfRun(bytes, next, end, kind)
    if (kind === SPACE && next < end) next = spaceBeforeWord(bytes, at, next)
    table.add(bytes, at, next, count)
    at = next
  }
}

/** `\s+(?!\S)|\s+`: a run of spaces before a word leaves its last space to the word, unless it is the only one. */
const spaceBeforeWord = (bytes: Uint8Array, start: number, end: number): number => {
  const last = lastCharacter(bytes, end)
  return last === start ? end : last
}

/**
 * `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
 * (Llama 3): numbers in groups of three.
 */
export const scanLlama3: Scanner = (bytes, start, end, table, count) => {
  let at = start
  while (at < end) {
    const next = endOfLlama3Word(bytes, at, end)
    table.add(bytes, at, next, count)
    at = next
  }
}

const endOfLlama3Word = (bytes: Uint8Array, at: number, end: number): number => {
  const byte = bytes[at]
  if (byte === 0x27) {
    const length = contractionLength(bytes, at, end, 0x20)
    if (length > 0) return at + length
  }
  const kind = classAt(bytes, at)
  if (kind === LETTER) return endOfRun(bytes, at, end, LETTER)
  const after = at + sequenceLength(byte)
  if (kind === NUMBER) {
    let next = after
    for (let i = 1; i < 3 && next < end && classAt(bytes, next) === NUMBER; i++) next += sequenceLength(bytes[next])
    return next
  }
  const following = after < end ? classAt(bytes, after) : SPACE
  if (following === LETTER && byte !== 0x0a && byte !== 0x0d) return endOfRun(bytes, after, end, LETTER)
  if (kind === OTHER || (byte === 0x20 && following === OTHER)) {
    let next = endOfRun(bytes, kind === OTHER ? at : after, end, OTHER)
    while (next < end && (bytes[next] === 0x0a || bytes[next] === 0x0d)) next++
    return next
  }
  const run = endOfRun(bytes, at, end, SPACE)
  for (let i = run - 1; i >= at; i--) if (bytes[i] === 0x0a || bytes[i] === 0x0d) return i + 1
  return run === end ? run : spaceBeforeWord(bytes, at, run)
}

// BERT's class of each ASCII character: 0 removed, 1 space, 2 punctuation, 3 part of a word.
const BERT_ASCII = Uint8Array.from({ length: 128 }, (_, code) => {
  if (code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d) return 1
  if (code < 0x20 || code === 0x7f) return 0
  return /[0-9A-Za-z]/.test(String.fromCharCode(code)) ? 3 : 2
})

/** BERT's cleaning and splitting of ASCII text: words of letters and digits, and single punctuation marks. */
export const bertAsciiScanner = ({ lowercase }: { lowercase: boolean }): Scanner => {
  let word = new Uint8Array(256)
  return (bytes, start, end, table, count) => {
    let length = 0
    for (let at = start; at < end; at++) {
      const byte = bytes[at]
      const kind = BERT_ASCII[byte]
      if (kind === 3) {
        if (length === word.length) word = larger(word, length * 2)
        word[length++] = lowercase && byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
      } else if (kind !== 0) {
        if (length > 0) table.add(word, 0, length, count)
        length = 0
        if (kind === 2) table.add(bytes, at, at + 1, count)
      }
    }
    if (length > 0) table.add(word, 0, length, count)
  }
}

/** SentencePiece's words of ASCII text: split at white space, with `▁` before each word. */
export const metaspaceAsciiScanner = ({ lowercase }: { lowercase: boolean }): Scanner => {
  let word = Uint8Array.of(0xe2, 0x96, 0x81, ...new Array<number>(256).fill(0))
  return (bytes, start, end, table, count) => {
    let at = start
    while (at < end) {
      while (at < end && ASCII_CLASSES[bytes[at]] === SPACE) at++
      if (at === end) return
      let length = 3
      for (; at < end && ASCII_CLASSES[bytes[at]] !== SPACE; at++) {
        if (length === word.length) word = larger(word, length * 2)
        const byte = bytes[at]
        word[length++] = lowercase && byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
      }
      table.add(word, 0, length, count)
    }
  }
}
