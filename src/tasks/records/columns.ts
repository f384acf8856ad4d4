// Values of columns as texts, labels and numbers, or the fault that makes them unusable.

import { z } from 'zod'
import { DataError, didYouMean, show } from '../../core/index.ts'
import type { DatasetDeclaration } from '../task.ts'
import type { DataRow, Fields, RecordFault } from './row.ts'

export const columnNames = (described: string, ...names: string[]) =>
  z
    .union([z.string().transform((name) => [name]), z.array(z.string()).min(1)])
    .default(names)
    .describe(described)

export const hasValue = (values: Fields, column: string): boolean =>
  values[column] !== undefined && values[column] !== null

/** The first of the columns in which a row has a value. */
export const firstColumn = (values: Fields, columns: readonly string[]): string | undefined =>
  columns.find((column) => hasValue(values, column))

/** A value, or the fault of its record. */
export type Checked<Value> = { value: Value } | { fault: RecordFault }

/** A fault. @param reason a short name that is counted, such as `empty-text` */
export const fault = (reason: string, message: string): { fault: RecordFault } => ({ fault: { reason, message } })

const idNames = /^(id|index|key|idx)$/i

/** The flag of a setting in a part of the recipe, such as `--settings.text-pair` for `textPair`. */
export const settingFlag = (part: 'settings' | 'columns', setting: string): string =>
  `--${part}.${setting.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

/** What to do about a column. Messages name settings as a recipe does; a command line puts its flags in place of those that it has. */
const setColumn = (setting: string, column: string): string => `Set \`settings.${setting}: ${JSON.stringify(column)}\`.`

/**
 * What to do about columns that a reader of several forms has not found.
 * @param part of the recipe that has the settings: tasks have `settings`, alignment has `columns`
 */
export const setColumns = (part: 'settings' | 'columns', settings: readonly string[]): string => {
  const names = settings.map((setting) => `\`${part}.${setting}\``).join(' and ')
  return `Set ${names} to ${settings.length === 1 ? 'the column' : 'the columns'} of your data.`
}

const delimiterNames: { readonly [delimiter: string]: string } = {
  ',': 'comma',
  '\t': 'tab',
  ';': 'semicolon',
  '|': 'bar',
}

/** What to do about rows of a text file with a single column whose name has delimiters; other formats have no delimiters to mistake. */
const splitAdvice = ({ values, file, delimiter }: DataRow): string | undefined => {
  if (delimiter === undefined) return undefined
  const names = Object.keys(values)
  const [name] = names
  const found = Object.keys(delimiterNames).find((one) => name?.includes(one))
  if (names.length !== 1 || found === undefined) return undefined
  const ending = found === '\t' ? '.tsv' : '.csv'
  const remedy = new RegExp(`\\${ending}(\\.\\w+)?$`, 'i').test(file)
    ? `read it as ${ending}, and remove quotes around whole lines`
    : `name it ${ending}`
  return `The file looks ${delimiterNames[found]}-separated: ${remedy}.`
}

/** The column that a missing text or label is most likely in: the longest text, or the last short value. */
const likelyColumn = (setting: string, values: Fields, used: ReadonlySet<string>): string => {
  const open = Object.entries(values).filter(([name]) => !used.has(name) && !idNames.test(name))
  const lengths = open.map(([name, value]) => ({ name, length: typeof value === 'string' ? value.length : 0 }))
  const longest = lengths.sort((a, b) => b.length - a.length)[0]
  if (setting !== 'label') return longest !== undefined && longest.length > 0 ? longest.name : 'NAME'
  const short = open.filter(
    ([, value]) => ['string', 'number', 'boolean'].includes(typeof value) && String(value).length <= 40,
  )
  return short.at(-1)?.[0] ?? 'NAME'
}

/** What to do about columns of a known data set: its name, where a row has two of its columns or more, and all that it names. */
const datasetAdvice = (
  names: readonly string[],
  settings: readonly string[],
  datasets: { readonly [name: string]: DatasetDeclaration },
): string => {
  const found = Object.keys(datasets).filter((dataset) => {
    const own = datasets[dataset].settings as { readonly [setting: string]: unknown }
    const columns = [...new Set(['id', ...settings])].flatMap((setting) =>
      own[setting] === undefined ? [] : [own[setting]],
    )
    return columns.length > 1 && columns.every((column) => names.includes(column as string))
  })
  if (found.length === 0) return ''
  return ` For the data set ${found[0]}, set \`dataset: ${JSON.stringify(found[0])}\` instead.`
}

/**
 * Checks that a row has the columns that settings name. For the first row of a file: a column that is missing there is
 * misnamed, while a later row may lack a value.
 * @param datasets known data sets of the task, of which one may be meant
 * @throws DataError with the columns that there are
 */
export const expectColumns = (
  row: DataRow,
  columns: { [setting: string]: string | undefined },
  datasets: { readonly [name: string]: DatasetDeclaration } = {},
): void => {
  const { values, file, line } = row
  const names = Object.keys(values)
  const used = new Set(Object.values(columns).filter((column) => column !== undefined))
  for (const [setting, column] of Object.entries(columns)) {
    if (column === undefined || names.includes(column)) continue
    const shown = names.slice(0, 20).join(', ')
    const got =
      names.length === 1 ? `the column ${show(shown)}` : `the columns ${shown}${names.length > 20 ? ', …' : ''}`
    const split = splitAdvice(row)
    if (split !== undefined)
      throw new DataError(`Expected a column "${column}" for \`${setting}\`, got ${got}. ${split}`, file, line)
    const similar = didYouMean(column, names)
    const found = /`(.+)`/.exec(similar)?.[1] ?? likelyColumn(setting, values, used)
    // A setting with a list of columns names each by `SETTING COLUMN`.
    const isList = setting.includes(' ')
    throw new DataError(
      `Expected a column "${column}" for \`${setting}\`, got ${got}.${similar} ${isList ? 'Correct the name.' : setColumn(setting, found)}${datasetAdvice(names, Object.keys(columns), datasets)}`,
      file,
      line,
    )
  }
}

/** What a reader reads besides the columns that it needs. */
export interface OptionalColumns {
  /** Columns that are read where a row has them; `all` for layouts with fixed columns. */
  optional?: readonly string[] | 'all'
  /** Settings that are not set, with the names of columns that they are probably for. */
  unset?: { readonly [setting: string]: RegExp }
}

const weightNames = /^((sample|example|instance|record|row|loss)_?)?weights?$/i

/**
 * The columns of a row that no setting reads.
 * @throws DataError for a column that looks like the second text of a pair, a context or a weight, unless `ignored` names it
 */
export const unreadColumns = (
  { values, file, line }: DataRow,
  columns: { [setting: string]: string | undefined },
  { optional = [], unset = {} }: OptionalColumns,
  ignored: readonly string[] = [],
): string[] => {
  if (optional === 'all') return []
  const read = new Set([...Object.values(columns), ...optional])
  const unread = Object.keys(values).filter((name) => !read.has(name))
  const ignore = (name: string) => `\`settings.ignoreColumns: [${JSON.stringify(name)}]\``
  for (const name of unread) {
    if (ignored.includes(name)) continue
    const value = values[name]
    const isText = typeof value === 'string' ? value.trim() !== '' : Array.isArray(value)
    const setting = Object.keys(unset).find((one) => unset[one].test(name))
    if (setting !== undefined && isText)
      throw new DataError(
        `Column "${name}" looks like the \`${setting}\` of each record, but no setting reads it. ${setColumn(setting, name)} To leave it out, set ${ignore(name)}.`,
        file,
        line,
      )
    if (weightNames.test(name) && value !== '' && Number.isFinite(Number(value)))
      throw new DataError(
        `Column "${name}" looks like a weight of each record, which tasks do not support. Use \`classWeights\` for weights of classes. To leave the column out, set ${ignore(name)}.`,
        file,
        line,
      )
  }
  return unread.filter((name) => !idNames.test(name))
}

/** The id or the group in a column: a text or a number. Undefined for a missing one. */
export const idIn = ({ values }: DataRow, column: string): Checked<string | undefined> => {
  const value = values[column]
  if (value === undefined || value === null) return { value: undefined }
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint')
    return { value: String(value) }
  return fault('no-id', `Expected a text or a number in column "${column}", got ${show(value)}.`)
}

const named = (value: unknown, names: readonly string[], column: string): Checked<unknown> => {
  if (Array.isArray(value)) {
    const all = value.map((one) => named(one, names, column))
    return all.find((one) => 'fault' in one) ?? { value: all.map((one) => ('value' in one ? one.value : undefined)) }
  }
  if (typeof value !== 'number' && typeof value !== 'bigint') return { value }
  const name = names[Number(value)]
  if (name !== undefined) return { value: name }
  // `datasets` has -1 where a label is not known, as in the test data of GLUE.
  if (Number(value) === -1)
    return fault('no-label', `Expected a label in column "${column}", got -1, which marks a record without one.`)
  return fault(
    'unknown-label',
    `Expected the number of a class from 0 to ${names.length - 1} in column "${column}", got ${value}.`,
  )
}

/** The value of a column, with the names of its classes in place of their numbers where the file declares them. */
export const namedValueIn = ({ values, classNames }: DataRow, column: string): Checked<unknown> => {
  const names = classNames !== undefined && Object.hasOwn(classNames, column) ? classNames[column] : undefined
  return names === undefined ? { value: values[column] } : named(values[column], names, column)
}

/** A text, or a list of texts joined by spaces. */
export const textIn = (row: DataRow, column: string): Checked<string> => {
  const found = namedValueIn(row, column)
  if ('fault' in found) return found
  const { value } = found
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
export const labelIn = (row: DataRow, column: string): Checked<string> => {
  const found = namedValueIn(row, column)
  if ('fault' in found) return found
  const { value } = found
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
export const labelListIn = (row: DataRow, column: string): Checked<string[]> => {
  const found = namedValueIn(row, column)
  if ('fault' in found) return found
  const { value } = found
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

/** A yes or no: 0 and 1, or false and true, also written as text; undefined for anything else. */
export const flagOf = (value: unknown): boolean | undefined => {
  const written = typeof value === 'string' ? value.trim().toLowerCase() : value
  if (yes.includes(written as never)) return true
  return no.includes(written as never) ? false : undefined
}

/** Several labels, each with a column of 0 and 1 or of false and true. */
export const flagLabelsIn = ({ values }: DataRow, columns: readonly string[]): Checked<string[]> => {
  const found: string[] = []
  for (const column of columns) {
    const value = values[column]
    const flag = flagOf(value)
    if (flag === true) found.push(column)
    else if (flag === undefined)
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
