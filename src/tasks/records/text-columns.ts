// The text columns of tasks with one text or a pair of texts per record, and the texts of one column for commands without a task.
import { z } from 'zod'
import { ConfigError, DataError, show } from '../../core/index.ts'
import { type Checked, expectColumns, textIn } from './columns.ts'
import { allOf } from './read-records.ts'
import { formatOfName, openRows, rowFields } from './read-rows.ts'
import { type DataRow, FaultCounter } from './row.ts'

export const textFields = {
  ...rowFields,
  text: z.string().default('text').describe('column with the text'),
  pair: z.string().optional().describe('column with the second text, for pairs of texts'),
}

export interface Texts {
  text: string
  /** The second text; undefined for single texts. */
  pair: string | undefined
}

interface TextSettings {
  text: string
  pair?: string
}

export const textColumns = ({ text, pair }: TextSettings): { [field: string]: string | undefined } => ({ text, pair })

/** Names of a second text, in any data set or beside a question. */
const pairNames =
  /^((text|sentence|sequence|question|input|s|q)[_ ]?(2|b|two)|pair|text[_ ]?pair|second[_ ]?text|hypothesis|premise)$/i
const questionPairNames = /^(contexts?|passages?|answer|sentence|document)$/i

/** The setting of a second text where it is not set, with the names of columns that it is probably for. */
export const unsetPair = ({ text, pair }: TextSettings): { [setting: string]: RegExp } => {
  if (pair !== undefined) return {}
  if (!/^(question|query)$/i.test(text)) return { pair: pairNames }
  return { pair: new RegExp(`${pairNames.source}|${questionPairNames.source}`, 'i') }
}

export const textsOf = (row: DataRow, { text, pair }: TextSettings): Checked<Texts> =>
  allOf<Texts>({
    text: textIn(row, text),
    pair: pair === undefined ? { value: undefined } : textIn(row, pair),
  })

export const textsFromInput = (fields: { [name: string]: unknown }, { pair }: TextSettings): Texts => {
  const text = (name: 'text' | 'pair'): string => {
    const value = fields[name]
    if (typeof value === 'string' && value.trim() !== '') return value
    throw new ConfigError(`Expected a text for \`${name}\`, got ${show(value)}.`)
  }
  return { text: text('text'), pair: pair === undefined && fields.pair === undefined ? undefined : text('pair') }
}

/** Whether a file has rows with columns, by its name: JSON lines, JSON, separated values or Parquet. */
export const hasColumns = (path: string): boolean => {
  const format = formatOfName(path)
  return format !== undefined && format !== 'folders'
}

/**
 * The texts of a column, in order.
 * @throws DataError with file and line for a missing column or a row without text
 */
export const readTextColumn = async (
  path: string,
  column: string,
  { signal }: { signal?: AbortSignal } = {},
): Promise<string[]> => {
  const source = await openRows(path, { format: 'auto', header: true, quotes: 'auto' })
  const texts: string[] = []
  let file: string | undefined
  for await (const row of source.rows(new FaultCounter('error'), signal)) {
    if (row.file !== file) expectColumns(row, { text: column })
    file = row.file
    const text = textIn(row, column)
    if ('fault' in text) throw new DataError(text.fault.message, row.file, row.line)
    texts.push(text.value)
  }
  if (texts.length === 0) throw new DataError('Expected texts, got a file without rows.', path)
  return texts
}
