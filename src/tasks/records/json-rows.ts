// Rows of JSON lines, and of whole JSON files: a list of objects, an object of objects by key, or either under `data`.
import { DataError, type JsonOrigin, parseJson, show } from '../../core/index.ts'
import { strictText, textLines, wholeFile } from '../../files/index.ts'
import { type DataRow, isFields, type RowContext, type RowFormat } from './row.ts'

const lineOrigin: JsonOrigin = {
  advice: (text) =>
    /^[[{]+\s*$/.test(text) ? 'If the file is one document, name it .json or set its `format`.' : undefined,
}

async function* lineRows(file: string, { faults, signal }: RowContext): AsyncGenerator<DataRow> {
  for await (const { text, number } of textLines(file, signal)) {
    if (text.trim() === '') continue
    const place = { file, line: number }
    let values: unknown
    try {
      values = parseJson(text, lineOrigin)
    } catch (error) {
      faults.fault({ reason: 'broken-json', message: (error as Error).message }, place)
      continue
    }
    if (isFields(values)) yield { values, ...place }
    else faults.count('no-object', `Expected an object, got ${show(values)}.`, place)
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

/** The content of a JSON file. @throws DataError with the line of a syntax error */
export const readJson = async (file: string, signal?: AbortSignal): Promise<unknown> => {
  const text = strictText(await wholeFile(file, { signal }), file)
  return parseJson(text, {
    path: file,
    advice: () =>
      isJson(text.slice(0, text.indexOf('\n')))
        ? 'If each line is a document, name the file .jsonl or set its `format`.'
        : undefined,
  })
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
    throw new DataError('Expected a list of objects, or objects by key, got another JSON value. Use JSON lines.', file)
  for (const [i, [key, values]] of entries.entries()) {
    const place = { file, line: i + 1 }
    if (!isFields(values)) faults.count('no-object', `Expected an object, got ${show(values)}.`, place)
    else yield { values: key === undefined ? values : { key, ...values }, ...place }
  }
}

export const jsonLines: RowFormat = { extensions: ['.jsonl', '.ndjson'], rows: lineRows }

/** Rows have their number in place of a line; an object's key becomes the column `key`. */
export const json: RowFormat = { extensions: ['.json'], rows: wholeRows }
