// The lines of a file as text: decompressed, decoded strictly, with a bound on each. Knows no format.
import { DataError } from '../core/index.ts'
import { openBytes, splitLines } from './streams/index.ts'

export interface TextLine {
  text: string
  /** 1-based */
  number: number
}

const maxLineBytes = 2 ** 26
const maxFileBytes = 2 ** 28

/** @throws DataError for a file that cannot be read, bytes that are not UTF-8, or a line that is too long */
export async function* textLines(path: string, signal?: AbortSignal): AsyncGenerator<TextLine, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  for await (const { bytes, number, length } of splitLines(openBytes({ path, signal }), maxLineBytes)) {
    if (bytes === undefined)
      throw new DataError(`Expected lines of at most ${maxLineBytes} bytes, got one of ${length}.`, path, number)
    yield { text: decoded(decoder, bytes, path, number), number }
  }
}

/** A whole file in memory. @throws DataError for a file that cannot be read or is too large */
export const wholeFile = async (path: string, signal?: AbortSignal): Promise<Buffer> => {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of openBytes({ path, signal })) {
    size += chunk.length
    if (size > maxFileBytes)
      throw new DataError(`Expected at most ${maxFileBytes} bytes, got more. Write it as JSON lines.`, path)
    chunks.push(Uint8Array.from(chunk))
  }
  return Buffer.concat(chunks)
}

/** Bytes as text. @throws DataError that names the first line which is not UTF-8 */
export const strictText = (bytes: Uint8Array, path: string): string => {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    if (bytes.indexOf(0) < 0) return decoder.decode(bytes)
  } catch {
    // The line is found below.
  }
  for (let start = 0, line = 1; ; line++) {
    const end = bytes.indexOf(10, start)
    decoded(decoder, bytes.subarray(start, end < 0 ? bytes.length : end), path, line)
    if (end < 0) throw new DataError('Expected UTF-8, got another encoding.', path)
    start = end + 1
  }
}

const decoded = (
  decoder: { decode(bytes: Uint8Array): string },
  bytes: Uint8Array,
  path: string,
  line: number,
): string => {
  // The first two bytes of UTF-16 are no UTF-8, and where they are missing, every other byte of its Latin letters is 0.
  const isWide = line === 1 && bytes.length > 1 && bytes[0] + bytes[1] === 0xff + 0xfe
  if (!isWide && bytes.indexOf(0) < 0)
    try {
      return decoder.decode(bytes)
    } catch {
      throw new DataError('Expected UTF-8, got bytes of another encoding. Convert the file to UTF-8.', path, line)
    }
  throw new DataError(
    isWide
      ? 'Expected UTF-8, got UTF-16. Convert the file to UTF-8.'
      : 'Expected UTF-8 text, got a byte of 0. Where the file is UTF-16, convert it to UTF-8; else remove the byte.',
    path,
    line,
  )
}
