// Words as in GPT-3's decontamination: lower case, split at white space, without punctuation, each with its position in
// the text. Scripts without spaces have one word per character.
// @source arXiv:2005.14165 appendix C

import { base1, base2, mix32 } from '../hash/index.ts'

const space = 0
const removed = 1
const letter = 2
const unspacedLetter = 3

interface UnitTables {
  readonly kind: Uint8Array
  readonly lower: Uint16Array
}

let tables: UnitTables | undefined

const unitTables = (): UnitTables => {
  if (tables !== undefined) return tables
  const kind = new Uint8Array(65_536).fill(letter)
  const lower = new Uint16Array(65_536)
  const unspaced =
    /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]$/u
  for (let unit = 0; unit < 65_536; unit++) {
    lower[unit] = unit
    if (unit >= 0xd800 && unit < 0xe000) continue
    const text = String.fromCharCode(unit)
    if (/^[\s\x1c-\x1f\x85]$/.test(text)) kind[unit] = space
    else if (/^[\p{P}\p{S}\p{Cc}\p{Cf}]$/u.test(text)) kind[unit] = removed
    else if (unspaced.test(text)) kind[unit] = unspacedLetter
    const small = text.toLowerCase()
    if (small.length === 1) lower[unit] = small.charCodeAt(0)
  }
  return (tables = { kind, lower })
}

/** The words of one text: hashes as pairs of int32, and positions in UTF-16 units. */
export class GramWords {
  count = 0
  pairs = new Int32Array(2048)
  starts = new Uint32Array(1024)
  ends = new Uint32Array(1024)

  push(first: number, second: number, start: number, end: number): void {
    const i = this.count++
    if (i === this.starts.length) {
      this.pairs = grown(this.pairs, new Int32Array(i * 4))
      this.starts = grown(this.starts, new Uint32Array(i * 2))
      this.ends = grown(this.ends, new Uint32Array(i * 2))
    }
    this.pairs[i * 2] = first
    this.pairs[i * 2 + 1] = second
    this.starts[i] = start
    this.ends[i] = end
  }
}

const grown = <Values extends Int32Array | Uint32Array>(old: Values, larger: Values): Values => {
  larger.set(old)
  return larger
}

const startFirst = 0x3c6ef372
const startSecond = 0x510e527f

/** Fills `out` with the words of `text`. */
export const readGramWords = (text: string, out: GramWords): void => {
  const { kind, lower } = unitTables()
  out.count = 0
  let first = startFirst
  let second = startSecond
  let length = 0
  let start = 0
  let end = 0
  const finish = () => {
    if (length > 0) out.push(mix32(first ^ Math.imul(second, 0x9e3779b1)), mix32(second + length), start, end)
    first = startFirst
    second = startSecond
    length = 0
  }
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    const what = kind[unit]
    if (what === letter) {
      if (length === 0) start = i
      first = Math.imul(first ^ lower[unit], 0x01000193)
      second = Math.imul(second + lower[unit], 0xcc9e2d51)
      second = (second << 15) | (second >>> 17)
      length++
      end = i + 1
    } else if (what === space) {
      finish()
    } else if (what === unspacedLetter) {
      finish()
      out.push(mix32(unit ^ 0x5bd1e995), mix32(Math.imul(unit + 1, 0x27d4eb2f)), i, i + 1)
    }
  }
  finish()
}

/** Both lanes of the hash of `length` words from word `start` on. */
export const hashGram = ({ pairs }: GramWords, start: number, length: number): readonly [number, number] => {
  let first = 0
  let second = 0
  for (let i = start; i < start + length; i++) {
    first = (Math.imul(first, base1) + pairs[i * 2]) | 0
    second = (Math.imul(second, base2) + pairs[i * 2 + 1]) | 0
  }
  return [first, second]
}
