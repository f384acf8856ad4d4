// The texts of one column of a file with columns, for commands that take texts without a task.
import { DataError } from '../../core/index.ts'
import { expectColumns, textIn } from './columns.ts'
import { FaultCounter } from './read-report.ts'
import { formatOfName, openRows } from './read-rows.ts'

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
