// A hash table from words (runs of UTF-16 units) to token ids, in a few typed arrays, so that a lookup touches little
// memory and allocates nothing.
import { larger } from './larger.ts'

const MAX_WORDS = 1 << 20
const MAX_KEY_UNITS = 1 << 24
/** Longest cached word, in UTF-16 units; longer words rarely repeat. */
export const MAX_WORD = 255
/** Most ids of a cached word, so that callers can reserve space for `copy`. */
export const MAX_IDS = 1000

// A slot holds four numbers: hash, start of the key, key length with the id count in the upper half, and the id or the
// start of the ids.
const SLOT = 4
const COUNT_SHIFT = 16

/** A cache of the token ids of words. */
export class WordCache {
  #capacity = 1 << 12
  #slots = new Int32Array(this.#capacity * SLOT)
  #keys = new Uint16Array(1 << 14)
  #keyUnits = 0
  #idList = new Int32Array(1 << 13)
  #idCount = 0
  #words = 0

  /** The index of the word [start, end) of `units` for `copy`; -1 if it is not cached. */
  find(units: Uint16Array, start: number, end: number, hash: number): number {
    const slots = this.#slots
    const keys = this.#keys
    const mask = this.#capacity - 1
    const length = end - start
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const at = slot * SLOT
      const packed = slots[at + 2]
      if (packed === 0) return -1
      if (slots[at] !== hash || (packed & 0xffff) !== length) continue
      const key = slots[at + 1]
      let i = 0
      while (i < length && keys[key + i] === units[start + i]) i++
      if (i === length) return at
    }
  }

  /** Writes the ids at `index` into `out` and returns their end. `out` must have space for `MAX_IDS` more ids. */
  copy(index: number, out: Uint32Array | Uint16Array | Int32Array, at: number): number {
    const count = this.#slots[index + 2] >>> COUNT_SHIFT
    const value = this.#slots[index + 3]
    // A single id, the usual case, is stored in the slot itself.
    if (count === 1) {
      out[at] = value
      return at + 1
    }
    const idList = this.#idList
    for (let i = 0; i < count; i++) out[at + i] = idList[value + i]
    return at + count
  }

  /** Caches the ids of a word; words too long to cache are ignored. */
  add(units: Uint16Array, start: number, end: number, hash: number, ids: readonly number[]): void {
    const length = end - start
    if (length > MAX_WORD || ids.length > MAX_IDS) return
    if (this.#words >= MAX_WORDS || this.#keyUnits + length > MAX_KEY_UNITS) this.clear()
    if (this.#words * 2 >= this.#capacity) this.#grow()
    if (this.#keyUnits + length > this.#keys.length) this.#keys = larger(this.#keys, this.#keys.length * 2)
    for (let i = 0; i < length; i++) this.#keys[this.#keyUnits + i] = units[start + i]
    let value = ids[0] ?? 0
    if (ids.length !== 1) {
      while (this.#idCount + ids.length > this.#idList.length)
        this.#idList = larger(this.#idList, this.#idList.length * 2)
      value = this.#idCount
      for (const id of ids) this.#idList[this.#idCount++] = id
    }
    this.#put(hash, this.#keyUnits, length | (ids.length << COUNT_SHIFT), value)
    this.#keyUnits += length
    this.#words++
  }

  #put(hash: number, key: number, packed: number, value: number): void {
    const mask = this.#capacity - 1
    let slot = hash & mask
    while (this.#slots[slot * SLOT + 2] !== 0) slot = (slot + 1) & mask
    this.#slots.set([hash, key, packed, value], slot * SLOT)
  }

  #grow(): void {
    const old = this.#slots
    this.#capacity *= 2
    this.#slots = new Int32Array(this.#capacity * SLOT)
    for (let at = 0; at < old.length; at += SLOT)
      if (old[at + 2] !== 0) this.#put(old[at], old[at + 1], old[at + 2], old[at + 3])
  }

  /** Removes all words; happens when the cache is full. */
  clear(): void {
    this.#slots.fill(0)
    this.#keyUnits = this.#idCount = this.#words = 0
  }
}

/** Hashes UTF-16 units (FNV-1a). */
export const hashUnits = (units: Uint16Array, start: number, end: number): number => {
  let hash = 0x811c9dc5
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ units[i], 0x01000193)
  return hash ^ (hash >>> 15)
}
