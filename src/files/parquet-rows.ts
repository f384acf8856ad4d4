// Rows of Parquet files that may be damaged: all of them that were asked for, or an error that can be caught. Knows no column.
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

/** Rows that are read at once. */
export const parquetRowsAtOnce = 4096

/**
 * Whether row groups hold the columns of the schema, once each: the library starts to read columns before it looks for the next one,
 * and an error of one that it started would end the process.
 */
const hasOwnColumns = (metadata: FileMetaData): boolean => {
  const leaves = new Set<string>()
  const walk = ({ path, children }: ReturnType<typeof parquetSchema>): void => {
    if (children.length === 0) leaves.add(JSON.stringify(path))
    for (const child of children) walk(child)
  }
  walk(parquetSchema(metadata))
  return metadata.row_groups.every(({ columns }) => {
    const paths = columns.map(({ meta_data: facts }) => JSON.stringify(facts?.path_in_schema))
    return new Set(paths).size === paths.length && paths.every((path) => leaves.has(path))
  })
}

/** @throws Error that says what is broken, for the caller to name the file */
export const readParquetMetadata = async (file: AsyncBuffer): Promise<FileMetaData> => {
  const metadata = await parquetMetadataAsync(file)
  if (!hasOwnColumns(metadata)) throw new Error('its columns are not those of its schema')
  const rows = metadata.row_groups.reduce((sum, { num_rows }) => sum + num_rows, 0n)
  if (rows !== metadata.num_rows) throw new Error(`row groups with ${rows} rows in place of ${metadata.num_rows}`)
  return metadata
}

export interface ParquetRange {
  file: AsyncBuffer
  metadata: FileMetaData
  rowStart: number
  rowEnd: number
  /** All unless given. */
  columns?: string[]
  parsers?: Parameters<typeof parquetReadObjects>[0]['parsers']
}

/** @throws Error that says what is broken, also where rows are missing */
export const readParquetRows = async (range: ParquetRange): Promise<Record<string, unknown>[]> => {
  const rows = await parquetReadObjects({ ...range, compressors })
  const expected = range.rowEnd - range.rowStart
  if (rows.length !== expected) throw new Error(`${rows.length} rows in place of ${expected}`)
  return rows
}
