// Records of a task from rows: checks the columns once per file, counts faults, stops at the limit.
import type { DatasetDeclaration, ReadOptions, TaskData, TaskRecord } from '../task.ts'
import { type Checked, expectColumns, idIn, type OptionalColumns, unreadColumns } from './columns.ts'
import { openRows, type RowSettings } from './read-rows.ts'
import { RecordSink } from './record-source.ts'
import { type DataRow, FaultCounter, type RecordFault } from './row.ts'

export interface RecordSettings extends RowSettings {
  onFault: 'error' | 'skip'
  limit?: number
  id?: string
  group?: string
  ignoreColumns?: readonly string[]
}

/** All values, or the first fault. */
export const allOf = <Values extends object>(
  checked: {
    [Name in keyof Values]: Checked<Values[Name]>
  },
): Checked<Values> => {
  const values: { [name: string]: unknown } = {}
  for (const [name, one] of Object.entries(checked) as [string, Checked<unknown>][]) {
    if ('fault' in one) return one
    values[name] = one.value
  }
  return { value: values as Values }
}

interface Columns extends OptionalColumns {
  /** Column names by the setting that names them. */
  columns: { [field: string]: string | undefined }
  /** Known data sets of the task, of which one is suggested where the columns are its own. */
  datasets?: { readonly [name: string]: DatasetDeclaration } | undefined
}

/** How a row becomes one record. */
export interface RecordReader<Fields> extends Columns {
  fields(row: DataRow): Checked<Fields>
}

/** How a row becomes any number of records. */
export interface SeveralReader<Fields> extends Columns {
  /** The records of a row. */
  several(row: DataRow): Checked<Fields>[]
  /** What `several` left out by itself, whatever `onFault` is. */
  dropped?: FaultCounter
  /** Part of the recipe that has the settings (default: settings, as of tasks). */
  part?: 'settings' | 'columns'
}

/** How reading is stopped, and where records go. */
type Flow<Record extends TaskRecord> = Pick<ReadOptions<Record>, 'signal' | 'onRecord'>

/** One record per row. @throws DataError for the first fault unless `onFault` is skip, and for a path without records */
export const readRecords = <Fields extends object>(
  path: string,
  settings: RecordSettings,
  { fields, ...columns }: RecordReader<Fields>,
  flow?: Flow<TaskRecord & Fields>,
): Promise<TaskData<TaskRecord & Fields>> =>
  readSeveral(path, settings, { ...columns, several: (row) => [fields(row)] }, flow)

/** Any number of records per row; the ids of several are numbered. @throws DataError as `readRecords` */
export const readSeveral = async <Fields extends object>(
  path: string,
  settings: RecordSettings,
  { columns, several, dropped = new FaultCounter('skip'), part = 'settings', ...others }: SeveralReader<Fields>,
  { signal, onRecord }: Flow<TaskRecord & Fields> = {},
): Promise<TaskData<TaskRecord & Fields>> => {
  const { onFault, limit = Number.POSITIVE_INFINITY, id, group, ignoreColumns } = settings
  const faults = new FaultCounter(onFault, part)
  const source = await openRows(path, settings)
  const sink = new RecordSink<TaskRecord & Fields>({ onRecord })
  const seen = new Map<string, string>()
  let file: string | undefined
  let number = 0
  const checkId = (name: string): RecordFault | undefined => {
    const before = seen.get(name)
    if (before === undefined) return undefined
    return { reason: 'repeated-id', message: `Expected distinct ids, got "${name}" again, as in ${before}.` }
  }
  for await (const row of source.rows(faults, signal)) {
    if (sink.count >= limit) break
    if (row.file !== file) {
      expectColumns(row, { ...columns, id, group }, others.datasets)
      for (const name of unreadColumns(row, { ...columns, id, group }, others, ignoreColumns)) sink.unread.add(name)
      file = row.file
    }
    const place = { file: row.file, line: row.line }
    const all = several(row)
    const ownGroup = group === undefined ? { value: undefined } : idIn(row, group)
    for (const [i, checked] of all.entries()) {
      if (sink.count >= limit) break
      const ownId = id === undefined ? { value: undefined } : idIn(row, id)
      const own = ('value' in ownId ? ownId.value : undefined) ?? String(number)
      const name = all.length === 1 ? own : id === undefined ? `${number}.${i}` : `${own}.${i}`
      const wrong = [checked, ownId, ownGroup].find((one) => 'fault' in one)
      const fault =
        (wrong && 'fault' in wrong ? wrong.fault : undefined) ?? (id === undefined ? undefined : checkId(name))
      if (fault !== undefined) faults.fault(fault, place)
      else if ('value' in checked) {
        if (id !== undefined) seen.set(name, `${row.file}${row.line === undefined ? '' : `:${row.line}`}`)
        const together = 'value' in ownGroup && ownGroup.value !== undefined ? { group: ownGroup.value } : {}
        const wait = sink.add({ id: name, ...place, ...checked.value, ...together })
        if (wait !== undefined) await wait
      }
    }
    number++
  }
  return sink.finish(path, source.files, faults, dropped)
}
