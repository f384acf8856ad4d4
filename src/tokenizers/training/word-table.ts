// A counter of byte strings: a hash table with open addressing over one byte arena, without JavaScript strings.
import { larger } from '../larger.ts'

const EMPTY = -1

/** The content of a table, transferable between threads; arrays may be longer than `size`. */
export interface WordTableData {
  size: number
  /** Concatenated words. */
  bytes: Uint8Array<ArrayBuffer>
  /** Word `i` is `bytes[ends[i - 1] ?? 0 .. ends[i])`. */
  ends: Uint32Array<ArrayBuffer>
  counts: Float64Array<ArrayBuffer>
}

/** Counts byte strings; counts are exact up to 2^53. */
export class WordTable {
  #slots: Int32Array
  #mask: number
  #bytes: Uint8Array<ArrayBuffer>
  #ends: Uint32Array<ArrayBuffer>
  #hashes: Int32Array<ArrayBuffer>
  #counted: Float64Array<ArrayBuffer>
  readonly #maxWordBytes: number
  #words = 0
  #used = 0

  /** Occurrences of words longer than `maxWordBytes`, which are not counted. */
  skipped = 0

  constructor({
    expectedWords = 1 << 14,
    maxWordBytes = 65535,
  }: { expectedWords?: number; maxWordBytes?: number } = {}) {
    this.#maxWordBytes = maxWordBytes
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(16, expectedWords)))
    this.#slots = new Int32Array(capacity * 2).fill(EMPTY)
    this.#mask = capacity * 2 - 1
    this.#bytes = new Uint8Array(capacity * 8)
    this.#ends = new Uint32Array(capacity)
    this.#hashes = new Int32Array(capacity)
    this.#counted = new Float64Array(capacity)
  }

  get size(): number {
    return this.#words
  }

  /** Approximate memory of the table, in bytes. */
  get memoryBytes(): number {
    return this.#bytes.length + this.#ends.length * (4 + 4 + 8 + 8)
  }

  /** Adds `count` to the word `source[start..end)`. */
  add(source: Uint8Array, start: number, end: number, count: number): void {
    if (end - start > this.#maxWordBytes) {
      this.skipped += count
      return
    }
    let hash = 0x811c9dc5 | 0
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ source[i], 0x01000193)
    hash ^= hash >>> 15
    const length = end - start
    let slot = hash & this.#mask
    for (;;) {
      const word = this.#slots[slot]
      if (word === EMPTY) break
      if (this.#hashes[word] === hash) {
        const from = word === 0 ? 0 : this.#ends[word - 1]
        if (this.#ends[word] - from === length) {
          let i = 0
          while (i < length && this.#bytes[from + i] === source[start + i]) i++
          if (i === length) {
            this.#counted[word] += count
            return
          }
        }
      }
      slot = (slot + 1) & this.#mask
    }
    this.#insert(source, start, end, hash, slot, count)
  }

  /** Adds every word of `data`. */
  addAll(data: WordTableData): void {
    for (let i = 0; i < data.size; i++) {
      this.add(data.bytes, i === 0 ? 0 : data.ends[i - 1], data.ends[i], data.counts[i])
    }
  }

  /** The table's content, as views of its arrays. */
  data(): WordTableData {
    return {
      size: this.#words,
      bytes: this.#bytes.subarray(0, this.#used),
      ends: this.#ends.subarray(0, this.#words),
      counts: this.#counted.subarray(0, this.#words),
    }
  }

  #insert(source: Uint8Array, start: number, end: number, hash: number, slot: number, count: number): void {
    const length = end - start
    if (this.#words === this.#ends.length) {
      this.#growWords()
      slot = hash & this.#mask
      while (this.#slots[slot] !== EMPTY) slot = (slot + 1) & this.#mask
    }
    if (this.#used + length > this.#bytes.length) {
      this.#bytes = larger(this.#bytes, Math.max(this.#bytes.length * 2, this.#used + length))
    }
    for (let i = 0; i < length; i++) this.#bytes[this.#used + i] = source[start + i]
    this.#used += length
    this.#ends[this.#words] = this.#used
    this.#hashes[this.#words] = hash
    this.#counted[this.#words] = count
    this.#slots[slot] = this.#words++
  }

  #growWords(): void {
    const capacity = this.#ends.length * 2
    this.#ends = larger(this.#ends, capacity)
    this.#hashes = larger(this.#hashes, capacity)
    this.#counted = larger(this.#counted, capacity)
    this.#mask = capacity * 2 - 1
    this.#slots = new Int32Array(capacity * 2).fill(EMPTY)
    for (let word = 0; word < this.#words; word++) {
      let slot = this.#hashes[word] & this.#mask
      while (this.#slots[slot] !== EMPTY) slot = (slot + 1) & this.#mask
      this.#slots[slot] = word
    }
  }
}

/** Sorts words by their bytes, so that later steps do not depend on the order of documents. */
export const sortWords = (data: WordTableData): WordTableData => {
  // Latin-1 strings have one character per byte, so they sort like the bytes, and sorting strings is fast.
  const text = Buffer.from(data.bytes.buffer, data.bytes.byteOffset, data.bytes.byteLength)
  const keys: string[] = new Array(data.size)
  for (let i = 0; i < data.size; i++) keys[i] = text.toString('latin1', i === 0 ? 0 : data.ends[i - 1], data.ends[i])
  const order = new Uint32Array(data.size)
  for (let i = 0; i < order.length; i++) order[i] = i
  order.sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : 0))
  const sorted: WordTableData = {
    size: data.size,
    bytes: new Uint8Array(data.bytes.length),
    ends: new Uint32Array(data.size),
    counts: new Float64Array(data.size),
  }
  let used = 0
  for (let i = 0; i < order.length; i++) {
    const from = order[i] === 0 ? 0 : data.ends[order[i] - 1]
    const word = data.bytes.subarray(from, data.ends[order[i]])
    sorted.bytes.set(word, used)
    used += word.length
    sorted.ends[i] = used
    sorted.counts[i] = data.counts[order[i]]
  }
  return sorted
}

/** Decodes word `index` as UTF-8. */
export const wordText = (data: WordTableData, index: number): string => {
  const start = index === 0 ? 0 : data.ends[index - 1]
  return Buffer.from(data.bytes.buffer, data.bytes.byteOffset, data.bytes.byteLength).toString(
    'utf8',
    start,
    data.ends[index],
  )
}
