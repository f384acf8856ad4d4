// Counts the words of batches of documents in one thread, in bounded memory.
import { isUtf8 } from 'node:buffer'
import { createWordReader, type PreTokenization } from './pre-tokenization.ts'
import { writeRun } from './word-runs.ts'
import { WordTable, type WordTableData, wordText } from './word-table.ts'

/** Concatenated UTF-8 documents; document `i` ends at `ends[i]`. */
export interface DocumentBatch {
  bytes: Uint8Array<ArrayBuffer>
  ends: Uint32Array<ArrayBuffer>
}

/** Options of `createDocumentCounter`. */
export interface DocumentCounterOptions {
  preTokenization: PreTokenization
  /** Longer words are skipped and counted in `skipped`. */
  maxWordBytes: number
  /** The table is written to disk above this size. */
  memoryBytes: number
  /** Path of the sorted run with this number. */
  runPath(index: number): string
}

/** The counts of one thread. */
export interface CountedWords {
  words: WordTableData
  /** Paths of sorted runs on disk, to be added to `words`. */
  runs: string[]
  /** Occurrences of words that were too long. */
  skipped: number
}

/** Counts words of document batches. */
export interface DocumentCounter {
  add(batch: DocumentBatch): void
  finish(): CountedWords
}

/** Creates a counter for one thread. */
export const createDocumentCounter = (options: DocumentCounterOptions): DocumentCounter => {
  const { maxWordBytes, memoryBytes, runPath } = options
  const reader = createWordReader(options.preTokenization)
  const createTable = () => new WordTable({ maxWordBytes })
  let words = createTable()
  let postponed = new WordTable({ maxWordBytes: Number.MAX_SAFE_INTEGER })
  let skipped = 0
  const runs: string[] = []

  const readPostponed = () => {
    const pieces = postponed.data()
    for (let i = 0; i < pieces.size; i++) reader.readPostponed(wordText(pieces, i), words, pieces.counts[i])
    postponed = new WordTable({ maxWordBytes: Number.MAX_SAFE_INTEGER })
  }
  const spill = () => {
    const path = runPath(runs.length)
    writeRun(path, words.data())
    runs.push(path)
    skipped += words.skipped
    words = createTable()
  }

  return {
    add({ bytes, ends }) {
      for (let i = 0; i < ends.length; i++) {
        const document = bytes.subarray(i === 0 ? 0 : ends[i - 1], ends[i])
        // Invalid UTF-8 is replaced by U+FFFD, as everywhere else.
        reader.read(isUtf8(document) ? document : Buffer.from(Buffer.from(document).toString('utf8')), words, postponed)
        if (postponed.memoryBytes > memoryBytes / 2) readPostponed()
        if (words.memoryBytes > memoryBytes) spill()
      }
    },
    finish() {
      readPostponed()
      if (runs.length > 0) spill()
      return { words: words.data(), runs, skipped: skipped + words.skipped }
    },
  }
}
