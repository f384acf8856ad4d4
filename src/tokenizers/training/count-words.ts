// Counts the words of a stream of documents on several threads. The counts do not depend on the number of threads.
// Memory is bounded: full tables are written to disk.

import { isUtf8 } from 'node:buffer'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { startWorker } from '../../core/index.ts'
import { createWordReader, type PreTokenization } from './pre-tokenization.ts'
import type { WordCountWorkerData } from './word-count-worker.ts'
import { readRuns, writeRun } from './word-runs.ts'
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
interface CountedWords {
  words: WordTableData
  /** Paths of sorted runs on disk, to be added to `words`. */
  runs: string[]
  /** Occurrences of words that were too long. */
  skipped: number
}

/** Counts words of document batches. */
interface DocumentCounter {
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

/** Documents as strings or UTF-8 bytes. */
export type Documents = AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>

/** Options of `countWords`. */
export interface CountWordsOptions {
  preTokenization: PreTokenization
  /** Number of threads; 1 counts in the calling thread (default: number of cores). */
  workers?: number
  /** Longer words (base64, DNA) are skipped. */
  maxWordBytes?: number
  /** Memory of all tables in total, in bytes. */
  memoryBytes?: number
  /** Maximum number of distinct words; the rarest are dropped. */
  maxWords?: number
  /** Input size from which more threads are started; shorter input is counted sooner without them. */
  threadsFromBytes?: number
  signal?: AbortSignal | undefined
  onProgress?: (bytes: number, documents: number) => void
}

/** The word counts of a corpus. */
export interface WordCounts {
  words: WordTableData
  documents: number
  /** UTF-8 bytes of all documents. */
  bytes: number
  /** Occurrences of words that were too long. */
  skippedLong: number
  /** Distinct words that were too rare. */
  skippedRare: number
}

const BATCH_BYTES = 2 << 20

/** Counts the words of `documents`. */
export const countWords = async (documents: Documents, options: CountWordsOptions): Promise<WordCounts> => {
  const { workers = availableParallelism(), signal, onProgress, preTokenization } = options
  const { maxWordBytes = 4096, memoryBytes = 1 << 30, maxWords = 10_000_000 } = options
  const { threadsFromBytes = 8 << 20 } = options
  const runFolder = mkdtempSync(join(tmpdir(), 'tunesmith-words-'))
  const tableBytes = memoryBytes / (workers + 1)
  const own = createDocumentCounter({
    preTokenization,
    maxWordBytes,
    memoryBytes: tableBytes,
    runPath: (index) => join(runFolder, `main-${index}.run`),
  })
  let pool: CountingPool | undefined
  let bytes = 0
  let count = 0
  try {
    for await (const batch of batches(documents)) {
      signal?.throwIfAborted()
      bytes += batch.bytes.length
      count += batch.ends.length
      if (workers > 1 && bytes > threadsFromBytes) {
        pool ??= new CountingPool(workers - 1, { preTokenization, maxWordBytes, memoryBytes: tableBytes, runFolder })
      }
      // The calling thread counts a batch itself if all others are busy.
      if (!(await pool?.offer(batch))) own.add(batch)
      onProgress?.(bytes, count)
    }
    const parts = [own.finish(), ...((await pool?.finish()) ?? [])]
    return { documents: count, bytes, ...combine(parts, { memoryBytes: tableBytes, maxWords, runFolder }) }
  } finally {
    await pool?.end()
    rmSync(runFolder, { recursive: true, force: true })
  }
}

const combine = (
  parts: readonly CountedWords[],
  { memoryBytes, maxWords, runFolder }: { memoryBytes: number; maxWords: number; runFolder: string },
): Pick<WordCounts, 'words' | 'skippedLong' | 'skippedRare'> => {
  const skippedLong = parts.reduce((sum, { skipped }) => sum + skipped, 0)
  const runs = parts.flatMap(({ runs }) => runs)
  const size = parts.reduce((sum, { words }) => sum + words.size, 0)
  const tableBytes = parts.reduce((sum, { words }) => sum + words.bytes.length + words.size * 24, 0)
  if (runs.length === 0 && size <= maxWords && (parts.length === 1 || tableBytes <= memoryBytes * 2)) {
    if (parts.length === 1) return { words: parts[0].words, skippedLong, skippedRare: 0 }
    const table = new WordTable({ expectedWords: Math.max(...parts.map(({ words }) => words.size)) * 1.25 })
    for (const { words } of parts) table.addAll(words)
    return { words: table.data(), skippedLong, skippedRare: 0 }
  }
  for (const [index, { words }] of parts.entries()) {
    if (words.size === 0) continue
    const path = join(runFolder, `rest-${index}.run`)
    writeRun(path, words)
    runs.push(path)
  }
  const { words, dropped } = readRuns(runs, { maxWords })
  return { words, skippedLong, skippedRare: dropped }
}

/** Packs documents into batches of about 2 MiB. */
async function* batches(documents: Documents): AsyncGenerator<DocumentBatch> {
  let parts: Uint8Array[] = []
  let size = 0
  const flush = (): DocumentBatch => {
    const bytes = new Uint8Array(size)
    const ends = new Uint32Array(parts.length)
    let used = 0
    for (const [index, part] of parts.entries()) {
      bytes.set(part, used)
      used += part.length
      ends[index] = used
    }
    parts = []
    size = 0
    return { bytes, ends }
  }
  for await (const document of documents) {
    const part = typeof document === 'string' ? Buffer.from(document, 'utf8') : document
    parts.push(part)
    size += part.length
    if (size >= BATCH_BYTES) yield flush()
  }
  if (parts.length > 0) yield flush()
}

/** Worker threads with a table each; a batch goes to the thread with the fewest waiting batches. */
class CountingPool {
  readonly #threads: { worker: Worker; waiting: number; ready: boolean }[]
  readonly #results: CountedWords[] = []
  #wake: () => void = () => {}
  #failure: unknown
  #isEnding = false

  constructor(size: number, data: Omit<WordCountWorkerData, 'runPrefix'>) {
    this.#threads = Array.from({ length: size }, (_, index) => {
      const workerData: WordCountWorkerData = { ...data, runPrefix: `thread${index}` }
      const worker = startWorker(new URL('./word-count-worker.ts', import.meta.url), { workerData })
      const thread = { worker, waiting: 0, ready: false }
      let hasResult = false
      const fail = (error: unknown) => {
        this.#failure ??= error
        this.#wake()
      }
      worker.on('message', (message: 'ready' | 'counted' | CountedWords) => {
        if (message === 'ready') thread.ready = true
        else if (message === 'counted') thread.waiting--
        else {
          hasResult = true
          this.#results.push(message)
        }
        this.#wake()
      })
      worker.on('error', fail)
      worker.on('messageerror', fail)
      worker.on('exit', (code) => {
        if (!hasResult && !this.#isEnding) fail(new Error(`A thread that counts words ended early, with code ${code}.`))
      })
      return thread
    })
  }

  /** Sends a batch to a thread with fewer than three waiting batches; false if there is none. */
  async offer(batch: DocumentBatch): Promise<boolean> {
    // Let messages from the threads arrive.
    await new Promise((resolve) => setImmediate(resolve))
    if (this.#failure !== undefined) throw this.#failure
    const free = this.#threads.filter(({ ready, waiting }) => ready && waiting < 3)
    if (free.length === 0) return false
    const thread = free.reduce((best, other) => (other.waiting < best.waiting ? other : best))
    thread.waiting++
    thread.worker.postMessage(batch, [batch.bytes.buffer, batch.ends.buffer])
    return true
  }

  async finish(): Promise<CountedWords[]> {
    const used = this.#threads.filter(({ ready }) => ready)
    for (const { worker } of used) worker.postMessage('finish')
    while (this.#failure === undefined && this.#results.length < used.length) {
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    if (this.#failure !== undefined) throw this.#failure
    return this.#results
  }

  async end(): Promise<void> {
    this.#isEnding = true
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()))
  }
}
