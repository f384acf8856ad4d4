// Rows of Parquet files that may be damaged: every requested row, or an error that can be caught.
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

/** Rows in one read. */
export const parquetBatchRows = 4096

/**
 * Whether each row group has each column of the schema once. The library starts reading columns before it looks for the
 * next one, and an unhandled error of a started column would end the process.
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

/** The footer of a Parquet file, checked. @throws Error with the fault; the caller adds the file's name */
export const readParquetMetadata = async (file: AsyncBuffer): Promise<FileMetaData> => {
  const metadata = await parquetMetadataAsync(file)
  if (!hasOwnColumns(metadata)) throw new Error('its columns are not those of its schema')
  const rows = metadata.row_groups.reduce((sum, { num_rows }) => sum + num_rows, 0n)
  if (rows !== metadata.num_rows) throw new Error(`row groups with ${rows} rows instead of ${metadata.num_rows}`)
  return metadata
}

/** Rows of a Parquet file to read. */
export interface ParquetRange {
  file: AsyncBuffer
  metadata: FileMetaData
  /** First row, 0-based. */
  rowStart: number
  /** Row after the last one. */
  rowEnd: number
  /** Columns to read (default: all). */
  columns?: string[]
  parsers?: Parameters<typeof parquetReadObjects>[0]['parsers']
}

/** The rows of a range as objects by column. @throws Error with the fault, also when rows are missing */
export const readParquetRows = async (range: ParquetRange): Promise<Record<string, unknown>[]> => {
  const rows = await parquetReadObjects({ ...range, compressors })
  const expected = range.rowEnd - range.rowStart
  if (rows.length !== expected) throw new Error(`${rows.length} rows instead of ${expected}`)
  return rows
}
