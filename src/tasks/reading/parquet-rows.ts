// Parquet files, some thousand rows at a time. The number of the row stands for its line. Knows no column.
import {
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { DataError } from '../../core/index.ts'
import type { DataRow, RowContext, RowFormat } from './row.ts'

const rowsAtOnce = 4096
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes that are no text stay bytes, so that only who asks for text in their column is told. */
const stringFromBytes = (bytes: Uint8Array): unknown => {
  try {
    return bytes && strict.decode(bytes)
  } catch {
    return bytes
  }
}

/** A row group is held in memory. */
const maxGroupBytes = 2 ** 30

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

async function* rows(path: string, { signal }: RowContext): AsyncGenerator<DataRow> {
  const broken = (error: Error): never => {
    throw new DataError(`Expected a Parquet file, got a broken one (${error.message}). Fetch it again.`, path)
  }
  const file = await asyncBufferFromFile(path).catch(broken)
  const metadata = await parquetMetadataAsync(file).catch(broken)
  if (!hasOwnColumns(metadata)) broken(new Error('its columns are not those of its schema'))
  const large = metadata.row_groups.find(({ total_byte_size }) => Number(total_byte_size) > maxGroupBytes)
  if (large !== undefined)
    throw new DataError(
      `Expected row groups of at most ${maxGroupBytes} bytes, got ${large.total_byte_size}. Write smaller ones.`,
      path,
    )
  const total = Number(metadata.num_rows)
  for (let rowStart = 0; rowStart < total; rowStart += rowsAtOnce) {
    signal?.throwIfAborted()
    const rowEnd = Math.min(total, rowStart + rowsAtOnce)
    const found = await parquetReadObjects({
      file,
      metadata,
      compressors,
      rowStart,
      rowEnd,
      parsers: { stringFromBytes },
    }).catch(broken)
    if (found.length !== rowEnd - rowStart) broken(new Error(`${found.length} rows in place of ${rowEnd - rowStart}`))
    for (const [i, values] of found.entries()) yield { values, file: path, line: rowStart + i + 1 }
  }
}

export const parquet: RowFormat = { extensions: ['.parquet'], rows }
