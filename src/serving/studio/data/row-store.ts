// The rows of a data file by their number, however many there are: plain JSON lines and Parquet where they are, other formats from a
// temporary file of JSON lines that another process or a stream writes.
import { createWriteStream } from 'node:fs'
import { basename } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setImmediate } from 'node:timers/promises'
import { asyncBufferFromFile, type FileMetaData } from 'hyparquet'
import { openBytes, readParquetMetadata, readParquetRows } from '../../../files/index.ts'
import { LineIndex } from './line-index.ts'

/** A row with its values, or with what is wrong with it. */
export interface StoredRow {
  /** From 0. */
  index: number
  place: string
  bytes: number
  values?: { [column: string]: unknown }
  damage?: string
  /** The beginning of a damaged row. */
  start?: string
}

/** Rows by number. */
export interface RowStore {
  /** Rows known so far. */
  readonly total: number
  readonly complete: boolean
  /** Share of the file that was looked at; undefined where it is not known. */
  readonly share: number | undefined
  /** Why there are no more rows. */
  readonly problem: string | undefined
  /** Looks at what was written since, where the file still grows. */
  grow?(): Promise<void>
  /** Streams rows [from, to), as far as they are known. */
  rows(from: number, to: number): AsyncIterable<StoredRow>
  close(): void
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const isFields = (value: unknown): value is { [column: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

type Parsed = Pick<StoredRow, 'values' | 'damage' | 'start'>

const parseLine = (text: string | undefined, start: string, bytes: number): Parsed => {
  if (text === undefined) return { damage: `The line has ${bytes} bytes, which is too long to be shown.`, start }
  if (text.includes('\ufffd') && text.trim() === '') return { damage: 'The line is not UTF-8.', start }
  try {
    const value = JSON.parse(text) as unknown
    if (isFields(value)) return { values: value }
    return { damage: 'Expected an object, got another JSON value.', start }
  } catch (error) {
    return { damage: text.trim() === '' ? 'The line is empty.' : `Expected JSON: ${messageOf(error)}.`, start }
  }
}

/** JSON lines where they are. */
export class LineStore extends LineIndex implements RowStore {
  readonly #name: string

  /** @param name file that places name */
  constructor(path: string, name = basename(path)) {
    super(path)
    this.#name = name
    void this.index()
  }

  get total(): number {
    return this.lines
  }

  async *rows(from: number, to: number): AsyncGenerator<StoredRow> {
    for await (const { number, text, bytes, start } of this.read(from, to))
      yield { index: number, place: `${this.#name}:${number + 1}`, bytes, ...parseLine(text, start, bytes) }
  }
}

const parquetStep = 1000

/** A Parquet file where it is: any row can be read without those before it. */
export class ParquetStore implements RowStore {
  readonly #path: string
  readonly #opened: Promise<{ file: Awaited<ReturnType<typeof asyncBufferFromFile>>; metadata: FileMetaData }>
  total = 0
  complete = false
  problem: string | undefined

  constructor(path: string) {
    this.#path = path
    this.#opened = this.#open()
    this.#opened.catch((error: unknown) => {
      this.problem = `Expected a Parquet file, got a damaged one (${messageOf(error)}).`
      this.complete = true
    })
  }

  async #open() {
    const file = await asyncBufferFromFile(this.#path)
    const metadata = await readParquetMetadata(file)
    this.total = Number(metadata.num_rows)
    this.complete = true
    return { file, metadata }
  }

  get share(): number {
    return this.complete ? 1 : 0
  }

  async *rows(from: number, to: number): AsyncGenerator<StoredRow> {
    if (this.problem !== undefined) return
    const { file, metadata } = await this.#opened
    const end = Math.min(to, this.total)
    for (let rowStart = from; rowStart < end; rowStart += parquetStep) {
      const rowEnd = Math.min(end, rowStart + parquetStep)
      const rows = await readParquetRows({ file, metadata, rowStart, rowEnd })
      for (const [i, values] of rows.entries())
        yield { index: rowStart + i, place: `${basename(this.#path)}:${rowStart + i + 1}`, bytes: 0, values }
      await setImmediate()
    }
  }

  close(): void {}
}

/** Bytes of a temporary file; of larger data, the first rows are shown. */
export const maxSpillBytes = 2 ** 31

/** A line that the process that reads records writes: the record, and its place in the data. */
interface SpilledRecord {
  place: string
  record: { [field: string]: unknown }
}

/** Rows of a temporary file that is still written: unpacked lines, or the records of a reader. */
export class SpillStore implements RowStore {
  readonly #lines: LineStore
  readonly #hasRecords: boolean
  complete = false
  #problem: string | undefined

  /** @param hasRecords whether each line is a `SpilledRecord` */
  constructor(path: string, name: string, hasRecords: boolean, written: Promise<unknown>) {
    this.#lines = new LineStore(path, name)
    this.#hasRecords = hasRecords
    written.then(
      () => this.#end(undefined),
      (error: unknown) => this.#end(messageOf(error)),
    )
  }

  async #end(problem: string | undefined): Promise<void> {
    // A look that began before the end has not seen all of it.
    await this.#lines.index()
    await this.#lines.index()
    this.#problem = problem
    this.complete = true
  }

  async grow(): Promise<void> {
    if (!this.complete) await this.#lines.index()
  }

  get total(): number {
    // The last line may be half written.
    return this.complete ? this.#lines.total : Math.max(0, this.#lines.total - 1)
  }

  get share(): undefined {
    return undefined
  }

  get problem(): string | undefined {
    return this.#problem ?? this.#lines.problem
  }

  async *rows(from: number, to: number): AsyncGenerator<StoredRow> {
    for await (const row of this.#lines.rows(from, Math.min(to, this.total))) {
      const { place, record } = (row.values ?? {}) as Partial<SpilledRecord>
      yield this.#hasRecords && record !== undefined ? { ...row, place: place ?? row.place, values: record } : row
    }
  }

  close(): void {
    this.#lines.close()
  }
}

/** Writes the decompressed bytes of a file, up to a limit. @throws DataError for a damaged file */
export const unpack = async (from: string, to: string, signal: AbortSignal): Promise<void> => {
  let written = 0
  async function* limited(): AsyncGenerator<Uint8Array> {
    for await (const chunk of openBytes({ path: from, signal })) {
      written += chunk.length
      if (written > maxSpillBytes) throw new Error(`Only the first ${maxSpillBytes} bytes are shown.`)
      // Copied, as a producer may reuse its chunks.
      yield Uint8Array.from(chunk)
    }
  }
  await pipeline(limited(), createWriteStream(to, { flags: 'w' }), { signal })
}
