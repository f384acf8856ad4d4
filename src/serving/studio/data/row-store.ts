// The rows of a data file by their number, however many there are, without reading it whole: plain JSON lines and Parquet where they are,
// other formats from a temporary file of JSON lines that another process or a stream writes. Of lines the offset of every 64th is known,
// found step by step while others work.

import { createWriteStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { basename } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { StringDecoder } from 'node:string_decoder'
import { setImmediate } from 'node:timers/promises'
import { asyncBufferFromFile, type FileMetaData } from 'hyparquet'
import { openBytes, readParquetMetadata, readParquetRows } from '../../../files/index.ts'
import { Growing } from '../runs/columns.ts'

/** Lines between two known offsets. */
const stride = 64
const chunkBytes = 1 << 20
/** Longer lines are not read. */
const maxLineBytes = 2 ** 25

/** A line with its number from 0. */
interface FileLine {
  number: number
  bytes: number
  /** Undefined for a line of more than `maxLineBytes`, whose beginning is `start`. */
  text: string | undefined
  start: string
}

/** Shown of a line that is too long. */
const startBytes = 1000

/** Begins the files of some programs, and belongs to no line. */
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf])

/** The beginning of a line, without a last character that is cut. */
const firstOf = (line: Buffer): string => new StringDecoder('utf8').write(line.subarray(0, startBytes))

/** The lines of a file that others may still write at its end. */
export class LineIndex {
  /** Of every `stride`th line. */
  readonly #offsets = new Growing()
  #lines = 0
  #read = 0
  #size = 0
  #lastLineOpen = false
  complete = false
  /** Why the rest of the lines is not known. */
  problem: string | undefined
  #working: Promise<void> | undefined
  #closed = false

  constructor(readonly path: string) {
    this.#offsets.push(0)
  }

  /** Lines known so far. */
  get lines(): number {
    return this.#lines + (this.complete && this.#lastLineOpen ? 1 : 0)
  }

  /** Bytes looked at so far, of how many. */
  get share(): number {
    return this.#size === 0 ? 1 : this.#read / this.#size
  }

  /** Looks at the file from where it stopped, to its present end. Calls at the same time share one look. */
  index(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#working ??= this.#index().finally(() => {
      this.#working = undefined
    })
    return this.#working
  }

  /** Ends the look at the file: no more lines become known. */
  close(): void {
    this.#closed = true
    if (!this.complete) this.problem ??= 'The rest of the file was not read, as it was closed. Load the page again.'
    this.complete = true
  }

  async #index(): Promise<void> {
    this.complete = false
    let file: FileHandle | undefined
    try {
      file = await open(this.path, 'r')
      this.#size = (await file.stat()).size
      const buffer = Buffer.allocUnsafe(chunkBytes)
      while (!this.#closed) {
        const { bytesRead } = await file.read(buffer, 0, chunkBytes, this.#read)
        if (bytesRead === 0) break
        this.#take(buffer.subarray(0, bytesRead))
        await setImmediate()
      }
      this.complete = true
    } catch (error) {
      this.problem = (error as Error).message
      this.complete = true
    } finally {
      await file?.close()
    }
  }

  #take(chunk: Buffer): void {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) {
      this.#lines++
      if (this.#lines % stride === 0) this.#offsets.push(this.#read + at + 1)
    }
    this.#lastLineOpen = chunk[chunk.length - 1] !== 10
    this.#read += chunk.length
  }

  /** Streams the lines [from, to), as far as they are known. Others work between the chunks. */
  async *read(from: number, to: number): AsyncGenerator<FileLine> {
    const end = Math.min(to, this.lines)
    if (from >= end) return
    const block = Math.floor(from / stride)
    const file = await open(this.path, 'r')
    try {
      for await (const line of linesFrom(file, this.#offsets.at(block), block * stride)) {
        if (line.number >= from) yield line
        if (line.number + 1 >= end) return
      }
    } finally {
      await file.close()
    }
  }
}

async function* linesFrom(file: FileHandle, offset: number, first: number): AsyncGenerator<FileLine> {
  let parts: Buffer[] = []
  let length = 0
  let number = first
  let at = offset
  const finish = (rest: Buffer): FileLine => {
    const bytes = length + rest.length
    const all = Buffer.concat([...parts, rest])
    const isMarked = number === 0 && all.subarray(0, byteOrderMark.length).equals(byteOrderMark)
    const line = isMarked ? all.subarray(byteOrderMark.length) : all
    parts = []
    length = 0
    const whole = bytes <= maxLineBytes
    return { number: number++, bytes, text: whole ? line.toString('utf8') : undefined, start: firstOf(line) }
  }
  for (;;) {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafe(chunkBytes), position: at })
    if (bytesRead === 0) break
    at += bytesRead
    const chunk = buffer.subarray(0, bytesRead)
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield finish(chunk.subarray(start, end))
      start = end + 1
    }
    const rest = chunk.subarray(start)
    length += rest.length
    // Of a line that is too long, the beginning is enough.
    if (length <= maxLineBytes || parts.length === 0) parts.push(rest)
  }
  if (length > 0) yield finish(Buffer.alloc(0))
}

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
