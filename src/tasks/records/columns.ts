// Values of columns as texts, labels and numbers, or the fault that makes them unusable.
import { DataError, didYouMean, show } from '../../core/index.ts'
import type { RecordFault } from './read-report.ts'
import type { DataRow } from './row.ts'

/** A value, or the fault of its record. */
export type Checked<Value> = { value: Value } | { fault: RecordFault }

/** A fault. @param reason a short name that is counted, such as `empty-text` */
export const fault = (reason: string, message: string): { fault: RecordFault } => ({ fault: { reason, message } })

/**
 * Whether a row has the columns that the fields of a config name; to be asked of the first row of a file, since a column that is not
 * there is misnamed, while a later row may lack a value. @throws DataError with the columns that there are
 */
export const expectColumns = (
  { values, file, line }: DataRow,
  columns: { [field: string]: string | undefined },
): void => {
  const names = Object.keys(values)
  for (const [field, column] of Object.entries(columns)) {
    if (column === undefined || names.includes(column)) continue
    const shown = names.slice(0, 20).join(', ')
    const hint = didYouMean(column, names) || ` Name the column with \`${field}\`.`
    throw new DataError(
      `Expected a column "${column}" for \`${field}\`, got the columns ${shown}${names.length > 20 ? ', …' : ''}.${hint}`,
      file,
      line,
    )
  }
}

/** A text, or a list of texts joined by spaces. */
export const textIn = ({ values }: DataRow, column: string): Checked<string> => {
  const value = values[column]
  const text = Array.isArray(value) && value.every((part) => typeof part === 'string') ? value.join(' ') : value
  if (typeof text !== 'string') {
    const got = ArrayBuffer.isView(value) ? 'bytes that are not UTF-8' : show(value)
    return { fault: { reason: 'no-text', message: `Expected text in column "${column}", got ${got}.` } }
  }
  if (text.trim() === '')
    return { fault: { reason: 'empty-text', message: `Expected text in column "${column}", got an empty text.` } }
  return { value: text }
}

/** A label: a text, a number or a boolean, as text. */
export const labelIn = ({ values }: DataRow, column: string): Checked<string> => {
  const value = values[column]
  const text =
    typeof value === 'string'
      ? value.trim()
      : typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean'
        ? String(value)
        : ''
  if (text === '')
    return { fault: { reason: 'no-label', message: `Expected a label in column "${column}", got ${show(value)}.` } }
  return { value: text }
}

/** Several labels: a list, or a text split at commas, semicolons or bars. */
export const labelListIn = ({ values }: DataRow, column: string): Checked<string[]> => {
  const value = values[column]
  const isLabel = (part: unknown) =>
    typeof part === 'string' ? part.trim() !== '' : typeof part === 'bigint' || Number.isInteger(part)
  if (Array.isArray(value) && value.every(isLabel))
    return { value: [...new Set(value.map((part) => String(part).trim()))] }
  if (typeof value === 'string') {
    const parts = value.split(/[,;|]/).map((part) => part.trim())
    return { value: [...new Set(parts.filter((part) => part !== ''))] }
  }
  if (value === null) return { value: [] }
  return {
    fault: { reason: 'no-label', message: `Expected a list of labels in column "${column}", got ${show(value)}.` },
  }
}

const yes = [1, 1n, true, '1', 'true']
const no = [0, 0n, false, '0', 'false']

/** Several labels, each with a column of 0 and 1 or of false and true. */
export const flagLabelsIn = ({ values }: DataRow, columns: readonly string[]): Checked<string[]> => {
  const found: string[] = []
  for (const column of columns) {
    const value = values[column]
    const written = typeof value === 'string' ? value.trim().toLowerCase() : value
    if (yes.includes(written as never)) found.push(column)
    else if (!no.includes(written as never))
      return { fault: { reason: 'no-label', message: `Expected 0 or 1 in column "${column}", got ${show(value)}.` } }
  }
  return { value: found }
}

const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i

/** A number that is finite in float32, also one written as text. */
export const numberIn = ({ values }: DataRow, column: string): Checked<number> => {
  const value = values[column]
  const isText = typeof value === 'string' && decimal.test(value.trim())
  const number = isText || typeof value === 'bigint' ? Number(value) : value
  if (typeof number === 'number' && Number.isFinite(Math.fround(number))) return { value: number }
  return { fault: { reason: 'no-number', message: `Expected a number in column "${column}", got ${show(value)}.` } }
}
