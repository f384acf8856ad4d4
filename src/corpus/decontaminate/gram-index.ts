// The n-grams of test sets in a hash table over typed arrays: one look-up per word of a document finds overlaps of all
// lengths by their first words (the anchor). Saved to a file for the workers.

import { open, stat } from 'node:fs/promises'
import { ConfigError, DataError, parseConfig, sha256, writeFileAtomic } from '../../core/index.ts'
import { base1, base2, power } from '../hash/index.ts'
import { GramWords, hashGram, readGramWords } from './grams.ts'
import { type DecontaminationOptions, decontaminationOptions, type TestSet } from './test-sets.ts'

/** Origin of an n-gram: its test set, item and field. */
export interface GramOrigin {
  readonly testSet: string
  readonly item: string
  readonly field: string
}

/** Statistics of one test set in the index. */
export interface TestSetFacts {
  readonly name: string
  readonly path: string
  readonly items: number
  /** Words per n-gram of this set. */
  readonly nGram: number
  readonly grams: number
  /** Texts too short to be found. */
  readonly tooShort: number
}

/** An n-gram of a test set in a document: its number, first word and last word. */
export interface GramMatch {
  readonly gram: number
  readonly firstWord: number
  readonly lastWord: number
}

interface Arrays {
  /** Open-addressed table: number + 1 of the first n-gram with the anchor; 0: free. */
  readonly slots: Uint32Array
  /** Both lanes of the hash of each n-gram's anchor. */
  readonly anchors: Int32Array
  /** Both lanes of the hash of each n-gram. */
  readonly hashes: Int32Array
  readonly lengths: Uint8Array
  readonly origins: Uint32Array
  /** Number + 1 of the next n-gram with the same anchor; 0: none. */
  readonly next: Uint32Array
}

interface Header {
  readonly anchorWords: number
  readonly sets: readonly TestSetFacts[]
  readonly origins: readonly (readonly [set: number, item: string, field: string])[]
}

/** The index of the n-grams of test sets. */
export class GramIndex {
  readonly #header: Header
  readonly #arrays: Arrays
  readonly #words = new GramWords()
  readonly #leaving: readonly [number, number]
  readonly #mask: number

  constructor(header: Header, arrays: Arrays) {
    this.#header = header
    this.#arrays = arrays
    this.#mask = arrays.slots.length - 1
    this.#leaving = [power(base1, header.anchorWords), power(base2, header.anchorWords)]
  }

  get testSets(): readonly TestSetFacts[] {
    return this.#header.sets
  }

  /** Number of n-grams, which are numbered from 0. */
  get size(): number {
    return this.#arrays.lengths.length
  }

  static build(sets: readonly TestSet[], options: DecontaminationOptions = {}): GramIndex {
    const settings = parseConfig(decontaminationOptions, options, 'decontaminate')
    if (settings.minNGram > settings.maxNGram) {
      throw new ConfigError('Expected `minNGram` up to `maxNGram` for `decontaminate`. Swap them.')
    }
    const collector = new GramCollector()
    const facts: TestSetFacts[] = []
    for (const [set, { name, path, items }] of sets.entries()) {
      const words = items.map(({ text }) => {
        readGramWords(text, collector.words)
        return collector.words.count
      })
      const nGram = settings.nGram === 'auto' ? percentileLength(words, settings) : settings.nGram
      const before = collector.size
      let tooShort = 0
      for (const [i, { item, field, text }] of items.entries()) {
        const ngrams = !settings.exactOnly && words[i] >= nGram
        const whole = (settings.exactOnly || settings.wholeItems) && words[i] >= settings.minNGram
        if (!ngrams && !whole) {
          tooShort++
          continue
        }
        readGramWords(text, collector.words)
        const origin = collector.origin(set, item, field)
        if (ngrams) for (let start = 0; start + nGram <= words[i]; start++) collector.add(start, nGram, origin, set)
        // An item of more than 255 words is found by its first 255.
        else collector.add(0, Math.min(words[i], 255), origin, set)
      }
      facts.push({ name, path, items: items.length, nGram, grams: collector.size - before, tooShort })
    }
    return collector.finish(facts)
  }

  /** Calls `found` for every overlap, and returns the positions of the document's words until the next call. */
  scan(text: string, found: (hit: GramMatch) => void): GramWords {
    const words = this.#words
    readGramWords(text, words)
    const { slots, anchors, hashes, lengths, next } = this.#arrays
    const { anchorWords } = this.#header
    const { pairs, count } = words
    const [leaving1, leaving2] = this.#leaving
    let first = 0
    let second = 0
    for (let i = 0; i < count; i++) {
      first = (Math.imul(first, base1) + pairs[i * 2]) | 0
      second = (Math.imul(second, base2) + pairs[i * 2 + 1]) | 0
      if (i >= anchorWords) {
        first = (first - Math.imul(pairs[(i - anchorWords) * 2], leaving1)) | 0
        second = (second - Math.imul(pairs[(i - anchorWords) * 2 + 1], leaving2)) | 0
      }
      if (i < anchorWords - 1) continue
      let slot = slotOf(first, second) & this.#mask
      for (; slots[slot] !== 0; slot = (slot + 1) & this.#mask) {
        const head = slots[slot] - 1
        if (anchors[head * 2] !== first || anchors[head * 2 + 1] !== second) continue
        const start = i - anchorWords + 1
        for (let gram = head; gram !== -1; gram = next[gram] - 1) {
          const length = lengths[gram]
          if (start + length > count) continue
          const [high, low] = hashGram(words, start, length)
          if (hashes[gram * 2] === high && hashes[gram * 2 + 1] === low) {
            found({ gram, firstWord: start, lastWord: start + length - 1 })
          }
        }
        break
      }
    }
    return words
  }

  /** The distinct n-grams of a document. */
  gramsOf(text: string): Set<number> {
    const grams = new Set<number>()
    this.scan(text, ({ gram }) => grams.add(gram))
    return grams
  }

  origin(gram: number): GramOrigin {
    const [set, item, field] = this.#header.origins[this.#arrays.origins[gram]]
    return { testSet: this.#header.sets[set].name, item, field }
  }

  async save(path: string): Promise<void> {
    const { slots, anchors, hashes, lengths, origins, next } = this.#arrays
    const parts = [slots, anchors, hashes, origins, next, lengths].map(
      (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
    )
    const data = Buffer.concat(parts)
    const header = { ...this.#header, grams: lengths.length, slots: slots.length, sha256: sha256(data) }
    const json = Buffer.from(JSON.stringify(header))
    const start = Buffer.alloc(magic.length + 4)
    start.write(magic, 'latin1')
    start.writeUInt32LE(json.length, magic.length)
    await writeFileAtomic(path, Buffer.concat([start, json, data]))
  }

  /** Reads a saved index. @throws DataError when the file is not an index, is truncated or was changed */
  static async load(path: string): Promise<GramIndex> {
    const fault = (expected: string, got: string | number) =>
      new DataError(`Expected ${expected} for an index of test sets, got ${got}. Build it again.`, path)
    const size = await stat(path).then(
      (found) => found.size,
      () => undefined,
    )
    if (size === undefined) throw fault('a readable file', 'none')
    const file = await open(path)
    try {
      const read = async (length: number, position: number) => {
        const buffer = Buffer.alloc(length)
        let done = 0
        while (done < length) {
          const { bytesRead } = await file.read(buffer, done, length - done, position + done)
          if (bytesRead === 0) throw fault(`${position + length} bytes`, position + done)
          done += bytesRead
        }
        return buffer
      }
      const start = await read(Math.min(size, magic.length + 4), 0)
      if (start.toString('latin1', 0, magic.length) !== magic || start.length < magic.length + 4) {
        throw fault(`a file that starts with ${magic.trim()}`, 'another file')
      }
      const headerBytes = start.readUInt32LE(magic.length)
      if (start.length + headerBytes > size) throw fault(`at least ${start.length + headerBytes} bytes`, size)
      let header: Header & { grams: number; slots: number; sha256: string }
      try {
        header = JSON.parse((await read(headerBytes, start.length)).toString('utf8'))
      } catch {
        throw fault('a JSON header', 'something else')
      }
      const { grams, slots } = header
      const dataBytes = slots * 4 + grams * (8 + 8 + 4 + 4 + 1)
      if (
        !(Number.isSafeInteger(grams) && Number.isSafeInteger(slots) && start.length + headerBytes + dataBytes === size)
      ) {
        throw fault(`${start.length + headerBytes + dataBytes} bytes`, size)
      }
      const data = await read(dataBytes, start.length + headerBytes)
      if (sha256(data) !== header.sha256) throw fault('bytes that match their checksum', 'others')
      let at = 0
      const take = (bytes: number) => data.buffer.slice(data.byteOffset + at, data.byteOffset + (at += bytes))
      const arrays: Arrays = {
        slots: new Uint32Array(take(slots * 4)),
        anchors: new Int32Array(take(grams * 8)),
        hashes: new Int32Array(take(grams * 8)),
        origins: new Uint32Array(take(grams * 4)),
        next: new Uint32Array(take(grams * 4)),
        lengths: new Uint8Array(take(grams)),
      }
      return new GramIndex({ anchorWords: header.anchorWords, sets: header.sets, origins: header.origins }, arrays)
    } finally {
      await file.close()
    }
  }
}

const magic = 'TSGRAM1\n'

const slotOf = (first: number, second: number): number =>
  Math.imul(first ^ Math.imul(second, 0x85ebca6b), 0x9e3779b1) >>> 1

/** The 5th percentile of the lengths, within the bounds. */
const percentileLength = (
  lengths: readonly number[],
  { minNGram, maxNGram }: { minNGram: number; maxNGram: number },
): number => {
  const sorted = [...lengths].sort((a, b) => a - b)
  const percentile = sorted[Math.floor(sorted.length * 0.05)] ?? 0
  return Math.min(maxNGram, Math.max(minNGram, percentile))
}

/** Collects the distinct n-grams of each test set. */
class GramCollector {
  readonly words = new GramWords()
  readonly #grams: { first: number; second: number; anchorWords: Int32Array; length: number; origin: number }[] = []
  readonly #origins: [number, string, string][] = []
  readonly #seen = new Set<string>()

  get size(): number {
    return this.#grams.length
  }

  origin(set: number, item: string, field: string): number {
    return this.#origins.push([set, item, field]) - 1
  }

  add(start: number, length: number, origin: number, set: number): void {
    const [first, second] = hashGram(this.words, start, length)
    const key = `${set} ${length} ${first} ${second}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    const anchorWords = this.words.pairs.slice(start * 2, (start + length) * 2)
    this.#grams.push({ first, second, anchorWords, length, origin })
  }

  finish(sets: readonly TestSetFacts[]): GramIndex {
    const grams = this.#grams
    const anchorWords = grams.reduce((least, { length }) => Math.min(least, length), 255)
    const slots = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(2, grams.length * 2))))
    const arrays: Arrays = {
      slots,
      anchors: new Int32Array(grams.length * 2),
      hashes: new Int32Array(grams.length * 2),
      lengths: new Uint8Array(grams.length),
      origins: new Uint32Array(grams.length),
      next: new Uint32Array(grams.length),
    }
    for (const [i, gram] of grams.entries()) {
      let first = 0
      let second = 0
      for (let word = 0; word < anchorWords; word++) {
        first = (Math.imul(first, base1) + gram.anchorWords[word * 2]) | 0
        second = (Math.imul(second, base2) + gram.anchorWords[word * 2 + 1]) | 0
      }
      arrays.anchors[i * 2] = first
      arrays.anchors[i * 2 + 1] = second
      arrays.hashes[i * 2] = gram.first
      arrays.hashes[i * 2 + 1] = gram.second
      arrays.lengths[i] = gram.length
      arrays.origins[i] = gram.origin
      let slot = slotOf(first, second) & (slots.length - 1)
      for (;;) {
        if (slots[slot] === 0) {
          slots[slot] = i + 1
          break
        }
        const head = slots[slot] - 1
        if (arrays.anchors[head * 2] === first && arrays.anchors[head * 2 + 1] === second) {
          arrays.next[i] = arrays.next[head]
          arrays.next[head] = i + 1
          break
        }
        slot = (slot + 1) & (slots.length - 1)
      }
    }
    return new GramIndex({ anchorWords, sets, origins: this.#origins }, arrays)
  }
}

/** Document counts of one worker; `addAll` merges those of several. */
export class GramCounter {
  readonly #index: GramIndex
  readonly #counts = new Map<number, number>()

  constructor(index: GramIndex) {
    this.#index = index
  }

  /** Counts each n-gram of a document once; returns the number of distinct ones. */
  add(text: string): number {
    const grams = this.#index.gramsOf(text)
    for (const gram of grams) this.#counts.set(gram, (this.#counts.get(gram) ?? 0) + 1)
    return grams.size
  }

  /** Pairs of n-gram number and count, by n-gram number. */
  entries(): [gram: number, documents: number][] {
    return [...this.#counts].sort(([a], [b]) => a - b)
  }

  addAll(entries: Iterable<readonly [gram: number, documents: number]>): void {
    for (const [gram, documents] of entries) this.#counts.set(gram, (this.#counts.get(gram) ?? 0) + documents)
  }

  /** The n-grams in more than `maxDocuments` documents. */
  common(maxDocuments = 10): Set<number> {
    return new Set([...this.#counts].filter(([, documents]) => documents > maxDocuments).map(([gram]) => gram))
  }
}
