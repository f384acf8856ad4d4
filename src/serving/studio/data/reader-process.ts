// Reads records in another process, one request at a time, so that a page never waits for a large file.

import { once } from 'node:events'
import { type PortableError, startProcess, unpackError } from '../../../core/index.ts'
import type { DataInspection, RecordReading, TaskReading } from '../../../runs/index.ts'
import type { ReadReport } from '../../../tasks/index.ts'

/** What the process is asked for. */
export type ReaderRequest =
  | { work: 'inspect'; path: string; validation: string | undefined; reading: TaskReading }
  /** Writes the records as JSON lines into a file. */
  | { work: 'spill'; path: string; reading: RecordReading; file: string; maxBytes: number }

/** What it found. */
export type ReaderResult = { inspection: DataInspection } | { report: ReadReport }

/** What the process sends. */
export type ReaderMessage = { progress: number } | { result: ReaderResult } | { error: PortableError }

const start = async (
  request: ReaderRequest,
  onProgress: (records: number) => void,
  signal: AbortSignal,
): Promise<ReaderResult> => {
  signal.throwIfAborted()
  // What a reader writes to stdout goes to stderr, as stdout is the program's.
  const child = startProcess(new URL('./reader-child.ts', import.meta.url), { stdio: ['ignore', 2, 'inherit', 'ipc'] })
  const stop = () => child.kill('SIGKILL')
  signal.addEventListener('abort', stop)
  let outcome: ReaderMessage | undefined
  child.on('message', (message: ReaderMessage) => {
    if ('progress' in message) onProgress(message.progress)
    else outcome ??= message
  })
  child.send(request)
  try {
    await once(child, 'close')
    signal.throwIfAborted()
    if (outcome !== undefined && 'result' in outcome) return outcome.result
    if (outcome !== undefined && 'error' in outcome) throw unpackError(outcome.error)
    throw new Error('The process that read the data has ended before it was done. The machine may be out of memory.')
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** A request that is worked on, or that waits for the one before. */
export interface ReaderJob {
  readonly result: Promise<ReaderResult>
  /** Records read so far. */
  readonly progress: number
  /** Whether it has started. */
  readonly started: boolean
  /** Ends the work; the result then fails. */
  stop(): void
}

/** Works on requests, one after the other. */
export class ReaderQueue {
  readonly #closed = new AbortController()
  #last: Promise<unknown> = Promise.resolve()

  add(request: ReaderRequest): ReaderJob {
    const stopped = new AbortController()
    const signal = AbortSignal.any([this.#closed.signal, stopped.signal])
    const state = { progress: 0, started: false }
    const work = () => {
      state.started = true
      const onProgress = (records: number) => {
        state.progress = records
      }
      return start(request, onProgress, signal)
    }
    const result = this.#last.then(work, work)
    this.#last = result
    // The caller gets the error, and may leave before it comes.
    result.catch(() => {})
    return Object.assign(state, { result, stop: () => stopped.abort() })
  }

  /** Ends the running process; requests that wait fail. */
  close(): void {
    this.#closed.abort()
  }
}
