// Pull reading of a byte stream: find a delimiter, take bytes, skip bytes, with a bound on the buffered bytes.
// Positions are byte offsets in the given stream.
import type { ByteStream } from './compression.ts'

const initialCapacity = 1 << 20

/** A growing window over a byte stream. Views from `take` and `peek` are valid until the next call that reads. */
export class ByteReader {
  #chunks: AsyncIterator<Uint8Array>
  #buffer = Buffer.allocUnsafe(initialCapacity)
  #start = 0
  #end = 0
  #ended = false
  /** Error of the stream; kept until all bytes before it are taken. */
  #failure: { error: unknown } | undefined
  /** Stream offset of the first byte not taken yet. */
  offset = 0

  constructor(stream: ByteStream) {
    this.#chunks = stream[Symbol.asyncIterator]()
  }

  /** Buffered bytes not taken yet. */
  get available(): number {
    return this.#end - this.#start
  }

  /** Whether the stream has no bytes beyond the buffered ones; also true after damage. */
  get ended(): boolean {
    return this.#ended
  }

  /** Throws the error that ended the stream, if any. Call after the last buffered byte is used. */
  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Closes the stream. */
  async close(): Promise<void> {
    this.#ended = true
    await this.#chunks.return?.(undefined)
  }

  /** Reads one more chunk; returns false at the end. */
  async fill(): Promise<boolean> {
    if (this.#ended) return false
    let chunk: Uint8Array
    try {
      const next = await this.#chunks.next()
      if (next.done) {
        this.#ended = true
        return false
      }
      chunk = next.value
    } catch (error) {
      this.#ended = true
      this.#failure = { error }
      return false
    }
    const buffered = this.#end - this.#start
    if (this.#end + chunk.length > this.#buffer.length) {
      const needed = buffered + chunk.length
      if (needed > this.#buffer.length / 2) {
        const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, needed))
        this.#buffer.copy(larger, 0, this.#start, this.#end)
        this.#buffer = larger
      } else this.#buffer.copy(this.#buffer, 0, this.#start, this.#end)
      this.#start = 0
      this.#end = buffered
    }
    this.#buffer.set(chunk, this.#end)
    this.#end += chunk.length
    return true
  }

  /** Makes `length` bytes available; returns false when the stream ends before. */
  async ensure(length: number): Promise<boolean> {
    while (this.available < length) if (!(await this.fill())) return false
    return true
  }

  /** Position of a delimiter, counted from the first untaken byte; -1 when it is not within `limit` bytes. */
  async find(needle: Buffer, limit: number, from = 0): Promise<number> {
    let searched = from
    for (;;) {
      const window = this.#buffer.subarray(this.#start, this.#end)
      const at = window.indexOf(needle, searched)
      if (at >= 0) return at <= limit ? at : -1
      searched = Math.max(from, window.length - needle.length + 1)
      if (searched > limit || !(await this.fill())) return -1
    }
  }

  /** A view of the buffered bytes, without taking them. */
  peek(length = this.available, from = 0): Buffer {
    return this.#buffer.subarray(this.#start + from, Math.min(this.#end, this.#start + length))
  }

  /** Takes available bytes. */
  take(length: number): Buffer {
    const view = this.#buffer.subarray(this.#start, this.#start + length)
    this.#start += view.length
    this.offset += view.length
    return view
  }

  /** Returns the last taken bytes to the buffer, before anything more is read. */
  untake(length: number): void {
    this.#start -= length
    this.offset -= length
  }

  /** Skips bytes up to and including the next delimiter; returns false when the stream ends first. */
  async skipPast(needle: Buffer): Promise<boolean> {
    for (;;) {
      const at = this.peek().indexOf(needle)
      if (at >= 0) {
        this.take(at + needle.length)
        return true
      }
      this.take(Math.max(0, this.available - needle.length + 1))
      if (!(await this.fill())) {
        this.take(this.available)
        return false
      }
    }
  }
}
