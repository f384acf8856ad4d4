// The texts of a file for commands that take one after another: a line each, or a field of JSON lines. Files may be compressed.
import { DataError } from '../core/index.ts'
import { openBytes } from '../corpus/index.ts'

// Such files are held in memory, results beside them.
const maxBytes = 2 ** 30

/** @throws DataError that names the line; blank lines of plain text are passed over */
export const readTexts = async (path: string, field: string): Promise<string[]> => {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of openBytes({ path })) {
    size += chunk.length
    if (size > maxBytes)
      throw new DataError(`Expected at most ${maxBytes} bytes of texts, got more. Split the file.`, path)
    chunks.push(Uint8Array.from(chunk))
  }
  const lines = Buffer.concat(chunks).toString('utf8').split(/\r?\n/)
  const isJson = /\.(jsonl|ndjson)(\.(gz|bz2|zst))?$/.test(path)
  const texts: string[] = []
  lines.forEach((line, i) => {
    if (line.trim() === '') return
    texts.push(isJson ? fieldOf(line, field, { path, line: i + 1 }) : line)
  })
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
