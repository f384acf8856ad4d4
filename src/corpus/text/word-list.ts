// Reads the lists that filters take as files: one entry a line, `#` opens a comment, plain or gzip, bounded.
// It knows no filter.

import { readFile, stat } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { DataError } from '../../core/index.ts'

const maxBytes = 512 * 2 ** 20
const maxEntryLength = 2000

/** The entries of a list, trimmed, without comments and empty lines; throws DataError on an unreadable or huge file. */
export const readWordList = async (path: string): Promise<string[]> => {
  const size = await stat(path).then(
    (found) => found.size,
    () => undefined,
  )
  if (size === undefined) throw new DataError(`Expected a readable list file, got none. Check the path.`, path)
  if (size > maxBytes) {
    throw new DataError(`Expected a list of at most ${maxBytes} bytes, got ${size}. Split it or shorten it.`, path)
  }
  let bytes: Buffer = await readFile(path)
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      bytes = gunzipSync(bytes, { maxOutputLength: maxBytes })
    } catch (error) {
      throw new DataError(`Expected a whole gzip file, got ${(error as Error).message}. Fetch it again.`, path)
    }
  }
  const entries: string[] = []
  for (const [index, line] of bytes.toString('utf8').split('\n').entries()) {
    const entry = line.trim()
    if (entry === '' || entry.startsWith('#')) continue
    if (entry.length > maxEntryLength) {
      throw new DataError(
        `Expected entries of at most ${maxEntryLength} characters, got ${entry.length}. Put one entry on a line.`,
        path,
        index + 1,
      )
    }
    entries.push(entry)
  }
  return entries
}
