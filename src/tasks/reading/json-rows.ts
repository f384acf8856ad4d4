// JSON lines, and whole JSON files: a list of objects, an object of objects by key, or either under `data`. Knows no column.
import { DataError, show } from '../../core/index.ts'
import { strictText, textLines, wholeFile } from '../../files/index.ts'
import { type DataRow, isFields, type RowContext, type RowFormat } from './row.ts'

async function* lineRows(file: string, { faults, signal }: RowContext): AsyncGenerator<DataRow> {
  for await (const { text, number } of textLines(file, signal)) {
    if (text.trim() === '') continue
    const place = { file, line: number }
    let values: unknown
    try {
      values = JSON.parse(text)
    } catch (error) {
      const hint = /^[[{]+\s*$/.test(text) ? ' Where the file is one document, name it .json, or say its `format`.' : ''
      faults.fault({ reason: 'broken-json', message: `Expected JSON, got ${(error as Error).message}.${hint}` }, place)
      continue
    }
    if (isFields(values)) yield { values, ...place }
    else faults.fault({ reason: 'no-object', message: `Expected an object, got ${show(values)}.` }, place)
  }
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** The content of a JSON file. @throws DataError that says where it is broken */
export const readJson = async (file: string, signal?: AbortSignal): Promise<unknown> => {
  const text = strictText(await wholeFile(file, signal), file)
  try {
    return JSON.parse(text)
  } catch (error) {
    const { message } = error as Error
    const position = /position (\d+)/.exec(message)
    const line = position === null ? undefined : text.slice(0, Number(position[1])).split('\n').length
    const hint = isJson(text.slice(0, text.indexOf('\n')))
      ? ' Where each line is a document, name the file .jsonl, or say its `format`.'
      : ''
    throw new DataError(`Expected JSON, got ${message}.${hint}`, file, line)
  }
}

async function* wholeRows(file: string, { faults, signal }: RowContext): AsyncGenerator<DataRow> {
  const content = await readJson(file, signal)
  const rows = isFields(content) && (Array.isArray(content.data) || isFields(content.data)) ? content.data : content
  const entries: [string | undefined, unknown][] = Array.isArray(rows)
    ? rows.map((row) => [undefined, row])
    : isFields(rows)
      ? Object.entries(rows)
      : []
  if (!Array.isArray(rows) && !(isFields(rows) && entries.every(([, row]) => isFields(row))))
    throw new DataError('Expected a list of objects, or objects by key, got something else. Use JSON lines.', file)
  for (const [i, [key, values]] of entries.entries()) {
    const place = { file, line: i + 1 }
    if (!isFields(values))
      faults.fault({ reason: 'no-object', message: `Expected an object, got ${show(values)}.` }, place)
    else yield { values: key === undefined ? values : { key, ...values }, ...place }
  }
}

export const jsonLines: RowFormat = { extensions: ['.jsonl', '.ndjson'], rows: lineRows }

/** The number of the row stands for its line; an object's key becomes the column `key`. */
export const json: RowFormat = { extensions: ['.json'], rows: wholeRows }
