// The lines of a file as text: decompressed, decoded strictly as UTF-8, with a bound on the length of each.
import { DataError } from '../core/index.ts'
import { openBytes, splitLines } from './streams/index.ts'
import { decodeLine } from './utf8.ts'

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
