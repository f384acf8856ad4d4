// Counts the words of batches of documents in one thread, in bounded memory. It knows nothing of threads.
import { isUtf8 } from 'node:buffer'
import { createWordReader, type PreTokenization } from './pre-tokenization.ts'
import { writeRun } from './word-runs.ts'
import { WordTable, type WordTableData, wordText } from './word-table.ts'

/** Documents one after another; document `i` ends at `ends[i]`. */
export interface DocumentBatch {
  bytes: Uint8Array<ArrayBuffer>
  ends: Uint32Array<ArrayBuffer>
}

export interface DocumentCounterOptions {
  preTokenization: PreTokenization
  /** Longer words are left out and counted in `skipped`. */
  maxWordBytes: number
  /** The table is written to disk when it takes more than this. */
  memoryBytes: number
  /** Where runs are written, each by the next of these names. */
  runPath(index: number): string
}

export interface CountedWords {
  words: WordTableData
  /** Sorted runs on disk, to be added to `words`. */
  runs: string[]
  skipped: number
}

export interface DocumentCounter {
  add(batch: DocumentBatch): void
  finish(): CountedWords
}

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
        // Damaged text is read as everything else reads it: with U+FFFD in place of what is not UTF-8.
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
