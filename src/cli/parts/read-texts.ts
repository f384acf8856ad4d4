// Texts for commands that process one after another: a line each, or a field of JSON lines. Files may be compressed.
import { DataError, parseJson } from '../../core/index.ts'
import { openBytes, strictText, wholeStream } from '../../files/index.ts'

// Such files are kept in memory, with the results.
const maxBytes = 2 ** 30

/** The path that stands for standard input. */
const STDIN = '-'

const blankLines = (numbers: readonly number[]): string =>
  numbers.length === 1
    ? `a blank line (line ${numbers[0]})`
    : `${numbers.length} blank lines (the first is line ${numbers[0]})`

/**
 * The texts of a file or of standard input (`-`), in order.
 * @param note called with a sentence about skipped blank lines of plain text
 * @throws DataError that names the line
 */
export const readTexts = async (path: string, field: string, note: (line: string) => void): Promise<string[]> => {
  const input = path === STDIN ? process.stdin : openBytes({ path })
  const lines = strictText(await wholeStream(input, path, maxBytes), path).split(/\r?\n/)
  while (lines.length > 0 && lines[lines.length - 1].trim() === '') lines.pop()
  const isJson = /\.(jsonl|ndjson)(\.(gz|bz2|zst))?$/.test(path)
  const texts: string[] = []
  const blank: number[] = []
  lines.forEach((line, i) => {
    if (line.trim() === '') blank.push(i + 1)
    else texts.push(isJson ? fieldOf(line, field, { path, line: i + 1 }) : line)
  })
  if (blank.length > 0 && texts.length > 0 && !isJson)
    note(`${path}: Skipped ${blankLines(blank)}: texts are numbered without them.`)
  if (texts.length === 0) throw new DataError('Expected texts, got an empty file.', path)
  return texts
}

const fieldOf = (line: string, field: string, where: { path: string; line: number }): string => {
  const value = parseJson(line, where)
  const text = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : undefined
  if (typeof text !== 'string' || text.trim() === '')
    throw new DataError(
      `Expected text for \`${field}\`, got none. Name the field with --text-field.`,
      where.path,
      where.line,
    )
  return text
}
