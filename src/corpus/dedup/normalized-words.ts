// Hashes of the words of a text for deduplication: case, accents, punctuation and the values of numbers are ignored,
// and scripts without spaces have one word per character. One loop over UTF-16 units with a table. Key files on disk
// contain these hashes, so any change invalidates old files.

import { mix32 } from '../hash/index.ts'

/** Class of the letters of scripts written without spaces. */
const unspacedLetter = 2
const inWord = 1
const digit = 3

interface UnitTables {
  /** Class of a UTF-16 unit: separator (0), inWord, unspacedLetter or digit. */
  readonly kind: Uint8Array
  /** Replacement of a unit: lower case, without its accent. */
  readonly folded: Uint16Array
}

let tables: UnitTables | undefined

const unitTables = (): UnitTables => {
  if (tables !== undefined) return tables
  const kind = new Uint8Array(65_536)
  const folded = new Uint16Array(65_536)
  const wordUnit = /^[\p{L}\p{Nl}\p{No}]$/u
  const unspaced =
    /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]$/u
  for (let unit = 0; unit < 65_536; unit++) {
    const text = String.fromCharCode(unit)
    folded[unit] = unit
    if (unit >= 0xd800 && unit < 0xe000) kind[unit] = inWord
    else if (/^\p{Nd}$/u.test(text)) kind[unit] = digit
    else if (/^\p{M}$/u.test(text)) kind[unit] = inWord
    else if (wordUnit.test(text)) {
      kind[unit] = unspaced.test(text) ? unspacedLetter : inWord
      // Only accents are removed: a Hangul syllable must not become its first consonant.
      const parts = text.normalize('NFD')
      folded[unit] = (/^.\p{Mn}+$/u.test(parts) ? parts[0] : text).toLowerCase().charCodeAt(0)
    }
  }
  // Combining marks inside a word are ignored like accents.
  for (let unit = 0x300; unit < 0x370; unit++) folded[unit] = 0
  folded[0x3099] = folded[0x309a] = 0
  return (tables = { kind, folded })
}

/** Hashes of words as pairs of int32: word i at 2i (first lane) and 2i + 1 (second lane). */
export class WordHashes {
  pairs = new Int32Array(2048)
  count = 0

  push(first: number, second: number): void {
    if (this.count * 2 === this.pairs.length) {
      const larger = new Int32Array(this.pairs.length * 2)
      larger.set(this.pairs)
      this.pairs = larger
    }
    this.pairs[this.count * 2] = first
    this.pairs[this.count * 2 + 1] = second
    this.count++
  }
}

const startFirst = 0x2545f491
const startSecond = 0x1b873593 | 0
const digitStand = 0x30

/** Fills `out` with the hashes of the words of `text` between `start` and `end` (UTF-16 units). */
export const hashWords = (text: string, out: WordHashes, start = 0, end = text.length): void => {
  const { kind, folded } = unitTables()
  out.count = 0
  let first = startFirst
  let second = startSecond
  let length = 0
  let digits = false
  for (let i = start; i < end; i++) {
    const unit = text.charCodeAt(i)
    const what = kind[unit]
    if (what === inWord) {
      const letter = folded[unit]
      if (letter === 0) continue
      first = Math.imul(first ^ letter, 0x01000193)
      second = Math.imul(second + letter, 0xcc9e2d51)
      second = (second << 15) | (second >>> 17)
      length++
      digits = false
      continue
    }
    if (what === digit) {
      // A run of digits counts as one digit.
      if (digits) continue
      first = Math.imul(first ^ digitStand, 0x01000193)
      second = Math.imul(second + digitStand, 0xcc9e2d51)
      second = (second << 15) | (second >>> 17)
      length++
      digits = true
      continue
    }
    if (length > 0) {
      out.push(mix32(first ^ Math.imul(second, 0x9e3779b1)), mix32(second + length))
      first = startFirst
      second = startSecond
      length = 0
      digits = false
    }
    if (what === unspacedLetter) {
      const letter = folded[unit]
      out.push(mix32(letter ^ 0x5bd1e995), mix32(Math.imul(letter + 1, 0x27d4eb2f)))
    }
  }
  if (length > 0) out.push(mix32(first ^ Math.imul(second, 0x9e3779b1)), mix32(second + length))
}
