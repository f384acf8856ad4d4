// The texts of a file for commands that take one after another: a line each, or a field of JSON lines. Files may be compressed.
import { DataError } from '../../core/index.ts'
import { openBytes } from '../../files/index.ts'

// Such files are held in memory, results beside them.
const maxBytes = 2 ** 30

/** The path that stands for what comes in. */
const STDIN = '-'

/** Of all chunks together, without a byte order mark. @throws DataError at the first line that is no UTF-8 */
const decoded = (bytes: Buffer, path: string): string => {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    return decoder.decode(bytes)
  } catch {
    // No line feed stands in a character of several bytes: some line is wrong by itself.
    let line = 1
    for (let start = 0; start < bytes.length; line++) {
      const end = bytes.indexOf(10, start)
      const next = end < 0 ? bytes.length : end + 1
      try {
        decoder.decode(bytes.subarray(start, next))
      } catch {
        break
      }
      start = next
    }
    throw new DataError('Expected UTF-8, got bytes of another encoding. Convert the file to UTF-8.', path, line)
  }
}

const blankLines = (numbers: readonly number[]): string =>
  numbers.length === 1
    ? `a blank line, line ${numbers[0]}`
    : `${numbers.length} blank lines, the first line ${numbers[0]}`

/**
 * @param note hears of blank lines of plain text, which are passed over
 * @throws DataError that names the line
 */
export const readTexts = async (path: string, field: string, note: (line: string) => void): Promise<string[]> => {
  const chunks: Uint8Array[] = []
  let size = 0
  const input: AsyncIterable<Uint8Array> = path === STDIN ? process.stdin : openBytes({ path })
  for await (const chunk of input) {
    size += chunk.length
    if (size > maxBytes)
      throw new DataError(`Expected at most ${maxBytes} bytes of texts, got more. Split the file.`, path)
    chunks.push(Uint8Array.from(chunk))
  }
  const lines = decoded(Buffer.concat(chunks), path).split(/\r?\n/)
  while (lines.length > 0 && lines[lines.length - 1].trim() === '') lines.pop()
  const isJson = /\.(jsonl|ndjson)(\.(gz|bz2|zst))?$/.test(path)
  const texts: string[] = []
  const blank: number[] = []
  lines.forEach((line, i) => {
    if (line.trim() === '') blank.push(i + 1)
    else texts.push(isJson ? fieldOf(line, field, { path, line: i + 1 }) : line)
  })
  if (blank.length > 0 && texts.length > 0 && !isJson)
    note(`${path}: Passed over ${blankLines(blank)}: texts are numbered without them.`)
  if (texts.length === 0) throw new DataError('Expected texts, got none.', path)
  return texts
}

const fieldOf = (line: string, field: string, where: { path: string; line: number }): string => {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new DataError(`Expected JSON, got ${(error as Error).message}.`, where.path, where.line)
  }
  const text = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : undefined
  if (typeof text !== 'string' || text.trim() === '')
    throw new DataError(
      `Expected text for \`${field}\`, got none. Name the field with --text-field.`,
      where.path,
      where.line,
    )
  return text
}
