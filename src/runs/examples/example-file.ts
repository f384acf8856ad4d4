// Encoded examples on disk, read one at a time by their number: a file with the bytes of all, and an index with a fixed size per example,
// so that neither has to be in memory. Does not know what an example is.
import { closeSync, openSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError } from '../../core/index.ts'
import { checksum, ExampleDecoder, type Shape } from './example-codec.ts'
import type { RecordPlace } from './run-data.ts'

const dataFile = 'examples.bin'
const indexFile = 'index.bin'

/** Numbers per example that a batch gives: length and checksum of its bytes, number of its file, line (0: none). */
export const batchNumbers = 4
/** Numbers per example in the index: offset (low and high half), and those of the batch. */
const indexNumbers = 6
const indexBytes = 4 * indexNumbers

/** Bytes of several examples, and `batchNumbers` numbers for each. */
export interface ExampleBytes {
  data: Uint8Array
  numbers: Uint32Array
}

export class ExampleFileWriter {
  readonly #data: FileHandle
  readonly #index: FileHandle
  #offset = 0
  #count = 0

  private constructor(data: FileHandle, index: FileHandle) {
    this.#data = data
    this.#index = index
  }

  static async create(folder: string): Promise<ExampleFileWriter> {
    return new ExampleFileWriter(await open(join(folder, dataFile), 'wx'), await open(join(folder, indexFile), 'wx'))
  }

  get count(): number {
    return this.#count
  }

  async append({ data, numbers }: ExampleBytes): Promise<void> {
    const count = numbers.length / batchNumbers
    const index = new Uint32Array(count * indexNumbers)
    for (let i = 0; i < count; i++) {
      const entry = numbers.subarray(i * batchNumbers, (i + 1) * batchNumbers)
      index.set([this.#offset % 2 ** 32, Math.floor(this.#offset / 2 ** 32), ...entry], i * indexNumbers)
      this.#offset += entry[0]
    }
    await this.#data.writeFile(data)
    await this.#index.writeFile(new Uint8Array(index.buffer))
    this.#count += count
  }

  async close(): Promise<void> {
    await this.#data.close()
    await this.#index.close()
  }
}

const damaged = (path: string): DataError =>
  new DataError(
    'The cache of encoded examples was changed or damaged while it was in use. Resume the run: it is encoded again.',
    path,
  )

export class ExampleFile<Example> {
  readonly length: number
  readonly #path: string
  readonly #indexPath: string
  readonly #data: number
  readonly #index: number
  readonly #files: readonly string[]
  readonly #decoder: ExampleDecoder
  readonly #entry = Buffer.alloc(indexBytes)
  #bytes = Buffer.alloc(1 << 12)
  #isOpen = true

  /** @param files names of the files that records came from, by number */
  constructor(folder: string, length: number, shapes: readonly Shape[], files: readonly string[]) {
    this.length = length
    this.#path = join(folder, dataFile)
    this.#data = openSync(this.#path, 'r')
    this.#indexPath = join(folder, indexFile)
    this.#index = openSync(this.#indexPath, 'r')
    this.#files = files
    this.#decoder = new ExampleDecoder(shapes)
  }

  /** @throws DataError when the file changed after it was opened */
  at(number: number): Example {
    const entry = this.#entryOf(number)
    const length = entry.readUInt32LE(8)
    if (length > this.#bytes.length) this.#bytes = Buffer.alloc(2 * length)
    const offset = entry.readUInt32LE(0) + entry.readUInt32LE(4) * 2 ** 32
    const got = readSync(this.#data, this.#bytes, 0, length, offset)
    if (got !== length || checksum(this.#bytes, 0, length) !== entry.readUInt32LE(12)) throw damaged(this.#path)
    return this.#decoder.decode(this.#bytes.subarray(0, length)) as Example
  }

  /** Where the record of an example was read from. @throws DataError when the file changed after it was opened */
  placeOf(number: number): RecordPlace {
    const entry = this.#entryOf(number)
    const line = entry.readUInt32LE(20)
    return { file: this.#files[entry.readUInt32LE(16)], line: line === 0 ? undefined : line }
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    closeSync(this.#data)
    closeSync(this.#index)
  }

  #entryOf(number: number): Buffer {
    const got = readSync(this.#index, this.#entry, 0, indexBytes, number * indexBytes)
    // What is left of the entry that was read before would give another example.
    if (got !== indexBytes) throw damaged(this.#indexPath)
    return this.#entry
  }
}
