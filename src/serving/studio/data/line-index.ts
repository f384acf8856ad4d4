// Lines of a large file by their number, without reading it whole: the offset of every 64th line, found step by step while others work.
import { type FileHandle, open } from 'node:fs/promises'
import { StringDecoder } from 'node:string_decoder'
import { setImmediate } from 'node:timers/promises'

/** Lines between two known offsets. */
const stride = 64
const chunkBytes = 1 << 20
/** Longer lines are not read. */
const maxLineBytes = 2 ** 25

/** A line with its number from 0. */
export interface FileLine {
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
  #offsets = new Float64Array(256)
  #known = 1
  #lines = 0
  #read = 0
  #size = 0
  #lastLineOpen = false
  complete = false
  /** Why the rest of the lines is not known. */
  problem: string | undefined
  #working: Promise<void> | undefined
  #closed = false

  constructor(readonly path: string) {}

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
      if (this.#lines % stride === 0) this.#know(this.#read + at + 1)
    }
    this.#lastLineOpen = chunk[chunk.length - 1] !== 10
    this.#read += chunk.length
  }

  #know(offset: number): void {
    if (this.#known === this.#offsets.length) {
      const larger = new Float64Array(2 * this.#known)
      larger.set(this.#offsets)
      this.#offsets = larger
    }
    this.#offsets[this.#known++] = offset
  }

  /** Streams the lines [from, to), as far as they are known. Others work between the chunks. */
  async *read(from: number, to: number): AsyncGenerator<FileLine> {
    const end = Math.min(to, this.lines)
    if (from >= end) return
    const block = Math.floor(from / stride)
    const file = await open(this.path, 'r')
    try {
      for await (const line of linesFrom(file, this.#offsets[block], block * stride)) {
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
