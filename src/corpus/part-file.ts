// Gzipped files of lines: written atomically and hashed while writing, read line by line in bounded memory.

import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createGunzip, createGzip, type Gzip } from 'node:zlib'
import { DataError, invariant } from '../core/index.ts'

/** Size and hash of a finished file. */
export interface WrittenFile {
  lines: number
  /** Bytes on disk. */
  bytes: number
  sha256: string
}

/** Suffix of unfinished files, which may be deleted when nothing writes them. */
const partialSuffix = '.partial'

const flushBytes = 1 << 18

/** Writes lines to `path`, which exists only after `close` has synchronised all of it to disk. */
export class LineWriter {
  readonly #path: string
  readonly #handle: FileHandle
  readonly #gzip: Gzip
  #pending: string[] = []
  #pendingLength = 0
  #lines = 0
  #bytes = 0
  readonly #hash: Hash = createHash('sha256')
  readonly #finished: Promise<void>
  #failure: Error | undefined
  #closed = false

  private constructor(path: string, handle: FileHandle, gzip: Gzip) {
    this.#path = path
    this.#handle = handle
    this.#gzip = gzip
    this.#finished = this.#drain()
    // The next write or close throws the failure; without this handler, Node would end the process first.
    this.#finished.catch((error: Error) => {
      this.#failure = error
    })
  }

  /** Opens a file for writing; `level` is zlib's: 1 for temporary files, 6 for files of the corpus. */
  static async create(path: string, { level = 6 }: { level?: number } = {}): Promise<LineWriter> {
    const handle = await open(path + partialSuffix, 'w')
    return new LineWriter(path, handle, createGzip({ level }))
  }

  async write(line: string): Promise<void> {
    this.#pending.push(line)
    this.#pendingLength += line.length + 1
    this.#lines += 1
    if (this.#pendingLength >= flushBytes) await this.#flush()
  }

  async #flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#pending.length === 0) return
    const data = Buffer.from(`${this.#pending.join('\n')}\n`, 'utf8')
    this.#pending = []
    this.#pendingLength = 0
    if (!this.#gzip.write(data)) {
      await Promise.race([once(this.#gzip, 'drain'), this.#finished])
      if (this.#failure !== undefined) throw this.#failure
    }
  }

  async #drain(): Promise<void> {
    for await (const chunk of this.#gzip as AsyncIterable<Buffer>) {
      this.#hash.update(chunk)
      this.#bytes += chunk.length
      await this.#handle.writeFile(chunk)
    }
  }

  /** Makes the file durable under its final name. */
  async close(): Promise<WrittenFile> {
    invariant(!this.#closed, 'a line file is closed once.')
    try {
      await this.#flush()
      this.#gzip.end()
      await this.#finished
      await this.#handle.sync()
    } catch (error) {
      await this.abort()
      throw error
    }
    this.#closed = true
    await this.#handle.close()
    await rename(this.#path + partialSuffix, this.#path)
    await syncFolder(dirname(this.#path))
    return { lines: this.#lines, bytes: this.#bytes, sha256: this.#hash.digest('hex') }
  }

  /** Removes the unfinished file. Safe to call after a failure, and twice. */
  async abort(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#gzip.destroy()
    await this.#finished.catch(() => {})
    await this.#handle.close().catch(() => {})
    await rm(this.#path + partialSuffix, { force: true })
  }
}

const syncFolder = async (path: string): Promise<void> => {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Lines of a gzipped file, in batches of one chunk. @throws DataError that names the file when it is damaged */
export async function* readLineBatches(path: string): AsyncGenerator<string[]> {
  const raw = createReadStream(path, { highWaterMark: 1 << 18 })
  const gunzip = createGunzip({ chunkSize: 1 << 18 })
  raw.on('error', (error) => gunzip.destroy(error))
  raw.pipe(gunzip)
  try {
    yield* splitLines(gunzip as AsyncIterable<Buffer>)
  } catch (error) {
    throw new DataError(`Expected a readable gzip file, got ${(error as Error).message}. Build the corpus again.`, path)
  } finally {
    raw.destroy()
    gunzip.destroy()
  }
}

/** Splits a byte stream into batches of lines; the last line needs no line feed. */
export async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<string[]> {
  let head: Buffer[] = []
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(10)
    if (end < 0) {
      head.push(chunk)
      continue
    }
    const complete = head.length === 0 ? chunk.subarray(0, end) : Buffer.concat([...head, chunk.subarray(0, end)])
    head = end + 1 < chunk.length ? [chunk.subarray(end + 1)] : []
    yield complete.toString('utf8').split('\n')
  }
  if (head.length > 0) yield [Buffer.concat(head).toString('utf8')]
}

/** Lines of a gzipped file, one by one. */
export async function* readLines(path: string): AsyncGenerator<string> {
  for await (const batch of readLineBatches(path)) yield* batch
}
