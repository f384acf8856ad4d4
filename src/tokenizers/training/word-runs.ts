// Word counts on disk: sorted runs that threads write when their table is full, and their merge. The merge is exact. If
// there are more distinct words than allowed, all words below a minimum count are dropped, so that the result does not
// depend on the distribution of documents over threads.
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { sortWords, type WordTableData } from './word-table.ts'

const RECORD_HEAD = 2 + 8 // length of the word, count
const BLOCK = 1 << 20

/** Writes `words` to `path`, sorted by their bytes. Words are at most 65535 bytes long. */
export const writeRun = (path: string, words: WordTableData): void => {
  const sorted = sortWords(words)
  const file = openSync(path, 'wx')
  try {
    const block = Buffer.alloc(BLOCK + RECORD_HEAD + 65535)
    let used = 0
    for (let i = 0; i < sorted.size; i++) {
      const start = i === 0 ? 0 : sorted.ends[i - 1]
      const length = sorted.ends[i] - start
      block.writeUInt16LE(length, used)
      block.writeDoubleLE(sorted.counts[i], used + 2)
      block.set(sorted.bytes.subarray(start, start + length), used + RECORD_HEAD)
      used += RECORD_HEAD + length
      if (used >= BLOCK || i === sorted.size - 1) {
        for (let at = 0; at < used; ) at += writeSync(file, block, at, used - at)
        used = 0
      }
    }
  } finally {
    closeSync(file)
  }
}

class RunReader {
  word: Buffer = Buffer.alloc(0)
  count = 0
  readonly #file: number
  readonly #block = Buffer.alloc(BLOCK + RECORD_HEAD + 65535)
  #at = 0
  #filled = 0

  constructor(path: string) {
    this.#file = openSync(path, 'r')
  }

  /** Moves to the next word; false at the end. */
  next(): boolean {
    if (this.#filled - this.#at < RECORD_HEAD + 65535) this.#fill()
    if (this.#at === this.#filled) return false
    const length = this.#block.readUInt16LE(this.#at)
    this.count = this.#block.readDoubleLE(this.#at + 2)
    this.word = this.#block.subarray(this.#at + RECORD_HEAD, this.#at + RECORD_HEAD + length)
    this.#at += RECORD_HEAD + length
    return true
  }

  close(): void {
    closeSync(this.#file)
  }

  #fill(): void {
    this.#block.copyWithin(0, this.#at, this.#filled)
    this.#filled -= this.#at
    this.#at = 0
    for (;;) {
      const read = readSync(this.#file, this.#block, this.#filled, this.#block.length - this.#filled, null)
      if (read === 0) return
      this.#filled += read
      if (this.#filled === this.#block.length) return
    }
  }
}

const mergeRuns = (paths: readonly string[], visit: (word: Buffer, count: number) => void): void => {
  const readers = paths.map((path) => new RunReader(path))
  try {
    // A binary min-heap of readers by their current word.
    const heap = readers.filter((reader) => reader.next())
    const sink = (index: number) => {
      const reader = heap[index]
      for (;;) {
        let child = 2 * index + 1
        if (child >= heap.length) break
        if (child + 1 < heap.length && Buffer.compare(heap[child + 1].word, heap[child].word) < 0) child++
        if (Buffer.compare(reader.word, heap[child].word) <= 0) break
        heap[index] = heap[child]
        index = child
      }
      heap[index] = reader
    }
    for (let i = (heap.length >> 1) - 1; i >= 0; i--) sink(i)
    const word = Buffer.alloc(65535)
    while (heap.length > 0) {
      const length = heap[0].word.copy(word)
      const current = word.subarray(0, length)
      let count = 0
      while (heap.length > 0 && Buffer.compare(heap[0].word, current) === 0) {
        count += heap[0].count
        if (!heap[0].next()) {
          const last = heap.pop() as RunReader
          if (heap.length === 0) break
          if (last !== heap[0]) heap[0] = last
        }
        sink(0)
      }
      visit(current, count)
    }
  } finally {
    for (const reader of readers) reader.close()
  }
}

/** Merges all runs. With more than `maxWords` distinct words, those below a minimum count are dropped. */
export const readRuns = (
  paths: readonly string[],
  { maxWords }: { maxWords: number },
): { words: WordTableData; minCount: number; dropped: number } => {
  const frequencies = new Map<number, { words: number; bytes: number }>()
  mergeRuns(paths, (word, count) => {
    const entry = frequencies.get(count)
    if (entry === undefined) frequencies.set(count, { words: 1, bytes: word.length })
    else {
      entry.words++
      entry.bytes += word.length
    }
  })
  let size = 0
  let length = 0
  let minCount = Number.POSITIVE_INFINITY
  let dropped = 0
  for (const [count, entry] of [...frequencies].sort((a, b) => b[0] - a[0])) {
    if (dropped > 0 || size + entry.words > maxWords) dropped += entry.words
    else {
      size += entry.words
      length += entry.bytes
      minCount = count
    }
  }
  const words: WordTableData = {
    size: 0,
    bytes: new Uint8Array(length),
    ends: new Uint32Array(size),
    counts: new Float64Array(size),
  }
  let used = 0
  mergeRuns(paths, (word, count) => {
    if (count < minCount) return
    words.bytes.set(word, used)
    used += word.length
    words.ends[words.size] = used
    words.counts[words.size++] = count
  })
  return { words, minCount: size === 0 ? 0 : minCount, dropped }
}
