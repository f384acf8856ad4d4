// The normalization rules of SentencePiece models: a double-array trie over UTF-8 bytes whose values point into a list
// of replacements. Every read is bounds-checked, because the table comes from a file.
// @source Kudo and Richardson 2018 (SentencePiece); the double array is that of Darts-clone
import type { ComponentType } from '../components.ts'
import { throwInvalid } from '../fields.ts'
import { checkExpansion, maxExpandedLength } from '../pattern.ts'
import type { Normalizer } from './normalizer.ts'

const MAX_TABLE = 16 * 1024 * 1024
const MAX_CLUSTER_BYTES = 6
const ALL_SIMPLE = /^[ -~]*$/

class CharacterMap {
  readonly #units: Uint32Array
  readonly #replacements: Buffer
  readonly #memo = new Map<string, string | undefined>()

  constructor(bytes: Buffer, where: string) {
    if (bytes.length < 4) throwInvalid('at least 4 bytes', where, `${bytes.length} bytes`)
    const size = bytes.readUInt32LE(0)
    if (size % 4 !== 0 || size > bytes.length - 4 || size < 4)
      throwInvalid('a trie that fits the table', where, `${size} bytes of trie`)
    this.#units = new Uint32Array(size / 4)
    for (let i = 0; i < this.#units.length; i++) this.#units[i] = bytes.readUInt32LE(4 + 4 * i)
    this.#replacements = bytes.subarray(4 + size)
  }

  /**
   * The replacement of `text`, or undefined if it has none. Matches the shortest prefix in the trie and drops the rest,
   * as SentencePiece does.
   */
  transform(text: string): string | undefined {
    if (this.#memo.has(text)) return this.#memo.get(text)
    const result = this.#search(text)
    if (this.#memo.size < 100_000) this.#memo.set(text, result)
    return result
  }

  #search(text: string): string | undefined {
    const units = this.#units
    let node = offset(units[0])
    for (const byte of Buffer.from(text, 'utf8')) {
      if (byte === 0) return undefined
      node ^= byte
      const unit = node >= 0 && node < units.length ? units[node] : 0
      if ((unit & 0x800000ff) >>> 0 !== byte) return undefined
      node ^= offset(unit)
      if (((unit >>> 8) & 1) === 1) {
        if (node < 0 || node >= units.length) return undefined
        return this.#replacementAt(units[node] & 0x7fffffff)
      }
    }
    return undefined
  }

  #replacementAt(index: number): string | undefined {
    if (index >= this.#replacements.length) return undefined
    const end = this.#replacements.indexOf(0, index)
    return this.#replacements.toString('utf8', index, end < 0 ? undefined : end)
  }
}

const offset = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6)

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

// Characters that may form a grapheme with others: marks and joiners, jamo, CR (before LF), U+0D4E (Prepend), four
// letters that segment as marks, and everything beyond the basic plane (flags, skin tones).
const CLUSTERS = /[\p{M}\p{Cf}\p{Cs}\r\u0e33\u0eb3\uff9e\uff9f\u0d4e\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]/u

// By UTF-16 unit: 0 unknown, 1 always a grapheme of its own, 2 may combine with others.
const combining = new Uint8Array(0x10000)

/** Whether each unit is a character and a grapheme of its own. */
const isPlain = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    combining[unit] ||= CLUSTERS.test(String.fromCharCode(unit)) ? 2 : 1
    if (combining[unit] === 2) return false
  }
  return true
}

/** Calls `put` for each part of the text in order, with its replacement or undefined. */
const walk = (map: CharacterMap, text: string, put: (old: string, replacement: string | undefined) => void): void => {
  if (isPlain(text)) {
    for (let i = 0; i < text.length; i++) put(text[i], map.transform(text[i]))
    return
  }
  for (const { segment } of graphemes.segment(text)) {
    if (Buffer.byteLength(segment) < MAX_CLUSTER_BYTES) {
      const whole = map.transform(segment)
      if (whole !== undefined) {
        put(segment, whole)
        continue
      }
    }
    for (const character of segment) put(character, map.transform(character))
  }
}

/** The precompiled rules of a SentencePiece model. */
export const precompiled: ComponentType<Normalizer> = (fields) => {
  const table = fields.string('precompiled_charsmap', '')
  if (table.length > MAX_TABLE)
    throwInvalid('a table of at most 16 MiB', fields.at('precompiled_charsmap'), `${table.length} characters`)
  // Some files have an empty table: no rules.
  if (table === '') return { normalize: (text) => text, align: () => {}, safeSplitBefore: (lead) => lead }
  const map = new CharacterMap(Buffer.from(table, 'base64'), fields.at('precompiled_charsmap'))
  const keepsAscii = [...Array(95).keys()].every((i) => {
    const character = String.fromCharCode(32 + i)
    return (map.transform(character) ?? character) === character
  })
  return {
    normalize(text) {
      if (keepsAscii && ALL_SIMPLE.test(text)) return text
      const limit = maxExpandedLength(text.length)
      let result = ''
      walk(map, text, (old, replacement) => {
        result += replacement ?? old
        if (result.length > limit) checkExpansion(text.length, result.length, fields.where)
      })
      return result
    },
    align(piece) {
      const characters: string[] = []
      const changes: number[] = []
      const limit = maxExpandedLength(piece.text.length)
      let modified = false
      walk(map, piece.text, (old, replacement) => {
        if (replacement === undefined) {
          characters.push(old)
          changes.push(0)
          return
        }
        modified = true
        const added = [...replacement]
        const difference = added.length - [...old].length
        characters.push(...added)
        changes.push(...added.map((_, i) => (i >= added.length - difference ? 1 : 0)))
        if (characters.length > limit) checkExpansion(piece.text.length, characters.length, fields.where)
        // As in the crate, removed characters are counted on the last character written, even if that is earlier.
        if (difference < 0 && changes.length > 0) changes[changes.length - 1] += difference
      })
      if (modified) piece.transform(characters, changes)
    },
    safeSplitBefore: (lead) => ((map.transform(lead) ?? lead) === lead ? lead : undefined),
  }
}
