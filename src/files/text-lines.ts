// Strict UTF-8: bytes of another encoding are an error that names the line, never replacement characters. The lines of a file are decompressed
// and have a bound on their length.
import { DataError } from '../core/index.ts'
import { openBytes, splitLines } from './streams/index.ts'

/** A line of a text file, without its line end. */
export interface TextLine {
  text: string
  /** 1-based */
  number: number
}

const maxLineBytes = 2 ** 26

/**
 * Streams the lines of a file, which may be compressed.
 * @throws DataError for a file that cannot be read, bytes that are not UTF-8, or a line of more than 64 MiB
 */
export async function* textLines(path: string, signal?: AbortSignal): AsyncGenerator<TextLine, void, undefined> {
  for await (const { bytes, number, length } of splitLines(openBytes({ path, signal }), maxLineBytes)) {
    if (bytes === undefined)
      throw new DataError(`Expected lines of at most ${maxLineBytes} bytes, got one of ${length}.`, path, number)
    yield { text: decodeLine(bytes, path, number), number }
  }
}

const strict = new TextDecoder('utf-8', { fatal: true })

const lineFeed = 10

/** Bytes as text without a byte order mark, or undefined when they are not UTF-8. */
export const decodeUtf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}

/** One line of a text file as text. @throws DataError that names the line when it is not UTF-8 text */
const decodeLine = (bytes: Uint8Array, path: string, line: number): string => {
  // The byte order mark of UTF-16 is not UTF-8, and without it every other byte of Latin letters in UTF-16 is 0.
  const isWide = line === 1 && bytes.length > 1 && bytes[0] + bytes[1] === 0xff + 0xfe
  if (isWide) throw new DataError('Expected UTF-8, got UTF-16. Convert the file to UTF-8.', path, line)
  if (bytes.indexOf(0) >= 0)
    throw new DataError(
      'Expected UTF-8 text, got a zero byte. Convert the file to UTF-8 if it is UTF-16; otherwise remove the byte.',
      path,
      line,
    )
  const text = decodeUtf8(bytes)
  if (text !== undefined) return text
  throw new DataError('Expected UTF-8, got bytes of another encoding. Convert the file to UTF-8.', path, line)
}

/** A whole file as text, without a byte order mark. @throws DataError that names the first line that is not UTF-8 */
export const strictText = (bytes: Uint8Array, path: string): string => {
  const text = bytes.indexOf(0) < 0 ? decodeUtf8(bytes) : undefined
  if (text !== undefined) return text
  // No line feed is part of a character of several bytes, so some line is faulty on its own.
  for (let start = 0, line = 1; ; line++) {
    const end = bytes.indexOf(lineFeed, start)
    decodeLine(bytes.subarray(start, end < 0 ? bytes.length : end), path, line)
    if (end < 0) throw new DataError('Expected UTF-8, got another encoding.', path)
    start = end + 1
  }
}
