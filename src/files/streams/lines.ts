// Splits a byte stream into lines, with a bound on the length of each. A line ends with LF or CRLF.
import type { ByteStream } from './compression.ts'

/** A line of a byte stream. */
export interface ByteLine {
  /** The line without its end; undefined when it is longer than the bound. Valid until the next line is read. */
  bytes: Buffer | undefined
  /** Byte offset of the line in the stream. */
  offset: number
  /** 1-based. */
  number: number
  /** Length in bytes, without the LF. */
  length: number
}

/**
 * Yields every line; a line of more than `maxBytes` is skipped in constant memory and yielded without its bytes.
 * The last line needs no LF. When the stream fails, the incomplete line is not yielded and the error is thrown.
 */
export async function* splitLines(stream: ByteStream, maxBytes: number): AsyncGenerator<ByteLine> {
  let parts: Buffer[] = [] // of a line that starts in an earlier chunk
  let length = 0
  let offset = 0
  let number = 1
  for await (const raw of stream) {
    const chunk = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength)
    let start = 0
    for (;;) {
      const end = chunk.indexOf(10, start)
      if (end < 0) break
      const size = length + end - start
      yield { bytes: size > maxBytes ? undefined : joined(parts, chunk, start, end), offset, number, length: size }
      parts = []
      length = 0
      number++
      offset += size + 1
      start = end + 1
    }
    if (start < chunk.length) {
      length += chunk.length - start
      if (length > maxBytes) parts = []
      else parts.push(Buffer.from(chunk.subarray(start))) // copied: producers may reuse their chunks
    }
  }
  if (length > 0) {
    const bytes = length > maxBytes ? undefined : withoutReturn(Buffer.concat(parts))
    yield { bytes, offset, number, length }
  }
}

const joined = (parts: Buffer[], chunk: Buffer, start: number, end: number): Buffer => {
  const rest = chunk.subarray(start, end)
  return withoutReturn(parts.length === 0 ? rest : Buffer.concat([...parts, rest]))
}

const withoutReturn = (line: Buffer): Buffer => (line.at(-1) === 13 ? line.subarray(0, -1) : line)
