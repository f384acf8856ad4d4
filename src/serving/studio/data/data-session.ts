// What a studio keeps of the data that its pages look at: opened files, tokenizers, temporary files, and what was computed of them. All
// of it can be made again, and ends with the studio. Records are read in another process, one request at a time, so that a page never
// waits for a large file.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { loadTokenizer } from '../../../checkpoint/index.ts'
import { type PortableError, sha256File, startProcess, unpackError } from '../../../core/index.ts'
import type { DataInspection, RecordReading, TaskReading } from '../../../runs/index.ts'
import type { ReadReport } from '../../../tasks/index.ts'
import type { Tokenizer } from '../../../tokenizers/index.ts'
import { ApiError } from '../../http/errors.ts'
import { fileVersion, Recent } from '../analysis/recent.ts'
import type { RunLibrary } from '../runs/run-library.ts'
import { type CatalogEntry, DataCatalog } from './catalog.ts'
import { LineStore, maxSpillBytes, ParquetStore, type RowStore, SpillStore, unpack } from './row-store.ts'

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
interface ReaderJob {
  readonly result: Promise<ReaderResult>
  /** Records read so far. */
  readonly progress: number
  /** Whether it has started. */
  readonly started: boolean
  /** Ends the work; the result then fails. */
  stop(): void
}

/** Works on requests, one after the other. */
class ReaderQueue {
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

/** Sources whose rows are kept open. */
const maxStores = 8
/** Tokenizers that are kept in memory. */
const maxTokenizers = 4

interface OpenedStore {
  store: RowStore
  /** The reading of the records, whose result counts what was left out. */
  job: ReaderJob | undefined
  close(): void
}

/** An inspection, and how many pages wait for it. */
interface StartedInspection {
  version: string
  job: ReaderJob
  watchers: number
  done: boolean
}

/** A store that is opened once, however many requests come at the same time. */
interface KeptStore {
  version: string | undefined
  opened: Promise<OpenedStore>
}

const closeStore = ({ opened }: KeptStore): void => {
  opened.then(
    ({ close }) => close(),
    () => undefined,
  )
}

/** The data of a studio while it runs. */
export class DataSession {
  readonly catalog: DataCatalog
  /** Rows are waited for, and inspections of large files take long: they do not wait for each other. */
  readonly #spillQueue = new ReaderQueue()
  readonly #inspectionQueue = new ReaderQueue()
  readonly #stores = new Map<string, KeptStore>()
  readonly #inspections = new Map<string, StartedInspection>()
  readonly #tokenizers = new Recent<Tokenizer>(maxTokenizers)
  #folder: Promise<string> | undefined
  #spills = 0
  #closed = false

  constructor(runs: RunLibrary) {
    this.catalog = new DataCatalog(runs)
  }

  /** The rows of a source of records. @throws ApiError for other sources and for files that are gone */
  async rows(entry: CatalogEntry): Promise<Pick<OpenedStore, 'store' | 'job'>> {
    const { source } = entry
    if (entry.reading === undefined)
      throw new ApiError(404, `The ${source.kind} ${source.name} has documents, not rows.`, { code: 'no_rows' })
    const version = await fileVersion(source.path)
    if (version === undefined && (source.bytes !== null || source.state === 'missing'))
      throw new ApiError(404, `The file ${source.path} is gone. It was deleted or moved.`, { code: 'file_gone' })
    if (this.#closed) throw new Error('The studio was closed.')
    const known = this.#stores.get(source.id)
    const kept = known !== undefined && known.version === version ? known : { version, opened: this.#open(entry) }
    if (known !== undefined && known !== kept) closeStore(known)
    // One that cannot be opened is tried again.
    kept.opened.catch(() => this.#stores.get(source.id) === kept && this.#stores.delete(source.id))
    this.#stores.delete(source.id)
    this.#stores.set(source.id, kept)
    for (const [id, oldest] of this.#stores) {
      if (this.#stores.size <= maxStores) break
      this.#stores.delete(id)
      closeStore(oldest)
    }
    return kept.opened
  }

  async #open({ source, reading }: CatalogEntry): Promise<OpenedStore> {
    const name = basename(source.path).toLowerCase()
    const isFile = source.bytes !== null
    const open = (store: RowStore): OpenedStore => ({ store, job: undefined, close: () => store.close() })
    if (reading?.kind === 'records' && isFile && /\.(jsonl|ndjson)$/.test(name)) return open(new LineStore(source.path))
    if (reading?.kind === 'records' && isFile && name.endsWith('.parquet')) return open(new ParquetStore(source.path))
    const file = await this.#newFile()
    const stop = new AbortController()
    const packed = reading?.kind === 'records' && isFile && /\.(jsonl|ndjson)\.(gz|bz2|zst)$/.test(name)
    const job = packed
      ? undefined
      : this.#spillQueue.add({ work: 'spill', path: source.path, reading: reading!, file, maxBytes: maxSpillBytes })
    const store = new SpillStore(
      file,
      basename(source.path),
      !packed,
      job?.result ?? unpack(source.path, file, stop.signal),
    )
    const close = () => {
      store.close()
      stop.abort()
      job?.stop()
      void rm(file, { force: true })
    }
    return { store, job, close }
  }

  async #newFile(): Promise<string> {
    this.#folder ??= mkdtemp(join(tmpdir(), 'tunesmith-data-'))
    const file = join(await this.#folder, `${this.#spills++}.jsonl`)
    // It is looked at before its writer has begun.
    await writeFile(file, '')
    return file
  }

  /**
   * The inspection of a source of records, begun unless it is known of the same files; of alignment data, its reading. An inspection that
   * every page has left before its end is stopped: call `leave` once.
   */
  async inspect(entry: CatalogEntry): Promise<{ job: ReaderJob; leave(): void }> {
    const { source, reading } = entry
    if (reading?.kind !== 'records') {
      const { job } = await this.rows(entry)
      if (job !== undefined) return { job, leave() {} }
      throw new ApiError(404, `There is nothing to inspect in ${source.name}.`, { code: 'no_rows' })
    }
    const other = source.validation === null ? undefined : (await this.catalog.get(source.validation)).source
    const version = [await fileVersion(source.path), other && (await fileVersion(other.path))].join(' | ')
    const known = this.#inspections.get(source.id)
    const inspection =
      known?.version === version
        ? known
        : this.#startInspection(source.id, version, {
            work: 'inspect',
            path: source.path,
            validation: other?.path,
            reading,
          })
    inspection.watchers++
    const leave = () => {
      inspection.watchers--
      if (inspection.watchers > 0 || inspection.done) return
      if (this.#inspections.get(source.id) === inspection) this.#inspections.delete(source.id)
      inspection.job.stop()
    }
    return { job: inspection.job, leave }
  }

  #startInspection(id: string, version: string, request: ReaderRequest): StartedInspection {
    const job = this.#inspectionQueue.add(request)
    const inspection: StartedInspection = { version, job, watchers: 0, done: false }
    this.#inspections.set(id, inspection)
    job.result.then(
      () => {
        inspection.done = true
      },
      // A reading that failed is tried again when the page asks again.
      () => {
        if (this.#inspections.get(id) === inspection) this.#inspections.delete(id)
      },
    )
    return inspection
  }

  /** A tokenizer of a folder that a recipe names, or that lies under the roots. */
  tokenizer(folder: string): Promise<Tokenizer> {
    return this.#tokenizers.of(folder, [join(folder, 'tokenizer.json')], () => loadTokenizer(folder))
  }

  /** The first of some folders, and of those under the roots, whose tokenizer has this hash. */
  async tokenizerOf(hash: string, named: readonly string[]): Promise<string | undefined> {
    for (const folder of new Set([...named, ...this.catalog.tokenizers])) {
      const found = await sha256File(join(folder, 'tokenizer.json')).catch(() => undefined)
      if (found === hash) return folder
    }
    return undefined
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#spillQueue.close()
    this.#inspectionQueue.close()
    for (const store of this.#stores.values()) closeStore(store)
    void this.#folder?.then((folder) => rm(folder, { recursive: true, force: true }))
  }
}
