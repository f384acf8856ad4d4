// Words, sentences, lines and characters as in the published quality rules.

import { DataError } from '../../core/index.ts'
import { wholeFile } from '../../files/index.ts'

export * from './characters.ts'
export { countSentences, splitWords, wordRules } from './words.ts'

const maxBytes = 512 * 2 ** 20
const maxEntryLength = 2000

/**
 * The entries of a list, trimmed, without comments and empty lines.
 * @throws DataError for an unreadable or too large file
 */
export const readWordList = async (path: string): Promise<string[]> => {
  const bytes = await wholeFile(path, { maxBytes })
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
