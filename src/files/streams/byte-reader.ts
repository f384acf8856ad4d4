// Pull reading of a byte stream: find a delimiter, take bytes, skip bytes, with a bound on what is held in memory.
// Knows no record format; positions are byte offsets in the stream that it is given.
import type { ByteStream } from './compression.ts'

const firstCapacity = 1 << 20

/** A growing window over a byte stream. Views from `take` and `peek` are valid until the next call that reads. */
export class ByteReader {
  #chunks: AsyncIterator<Uint8Array>
  #buffer = Buffer.allocUnsafe(firstCapacity)
  #start = 0
  #end = 0
  #ended = false
  /** Thrown by the stream; kept until everything before it was taken. */
  #failure: { error: unknown } | undefined
  /** Offset in the stream of the first byte not yet taken. */
  offset = 0

  constructor(stream: ByteStream) {
    this.#chunks = stream[Symbol.asyncIterator]()
  }

  /** Bytes held and not taken. */
  get available(): number {
    return this.#end - this.#start
  }

  /** True when the stream has no more bytes than those held; after damage, too. */
  get ended(): boolean {
    return this.#ended
  }

  /** Throws the stream's error, if it ended by one. Call once all that was held is used. */
  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  async close(): Promise<void> {
    this.#ended = true
    await this.#chunks.return?.(undefined)
  }

  /** Reads one more chunk; false at the end. */
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
    const held = this.#end - this.#start
    if (this.#end + chunk.length > this.#buffer.length) {
      const needed = held + chunk.length
      if (needed > this.#buffer.length / 2) {
        const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, needed))
        this.#buffer.copy(larger, 0, this.#start, this.#end)
        this.#buffer = larger
      } else this.#buffer.copy(this.#buffer, 0, this.#start, this.#end)
      this.#start = 0
      this.#end = held
    }
    this.#buffer.set(chunk, this.#end)
    this.#end += chunk.length
    return true
  }

  /** Makes `length` bytes available; false when the stream ends before. */
  async ensure(length: number): Promise<boolean> {
    while (this.available < length) if (!(await this.fill())) return false
    return true
  }

  /** The position of a delimiter from the first untaken byte, or -1 when it is not within `limit` bytes or the stream. */
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

  /** A view of the held bytes, without taking them. */
  peek(length = this.available, from = 0): Buffer {
    return this.#buffer.subarray(this.#start + from, Math.min(this.#end, this.#start + length))
  }

  /** Takes bytes that are available. */
  take(length: number): Buffer {
    const view = this.#buffer.subarray(this.#start, this.#start + length)
    this.#start += view.length
    this.offset += view.length
    return view
  }

  /** Gives back the last bytes taken, before anything more is read. */
  untake(length: number): void {
    this.#start -= length
    this.offset -= length
  }

  /** Drops bytes up to and including the next delimiter, or to the end; false at the end. */
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
