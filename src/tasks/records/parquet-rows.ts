// Rows of Parquet files, a few thousand at a time, with their number in place of a line.
import { asyncBufferFromFile } from 'hyparquet'
import { DataError } from '../../core/index.ts'
import { parquetBatchRows, readParquetMetadata, readParquetRows } from '../../files/index.ts'
import type { DataRow, RowContext, RowFormat } from './row.ts'

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes that are not UTF-8 stay bytes: an error only where a setting reads the column as text. */
const stringFromBytes = (bytes: Uint8Array): unknown => {
  try {
    return bytes && strict.decode(bytes)
  } catch {
    return bytes
  }
}

/** Limit of a row group, which is read into memory as a whole. */
const maxGroupBytes = 2 ** 30

async function* rows(path: string, { signal }: RowContext): AsyncGenerator<DataRow> {
  const broken = (error: Error): never => {
    throw new DataError(`Expected a Parquet file, got a damaged one (${error.message}). Download it again.`, path)
  }
  const file = await asyncBufferFromFile(path).catch(broken)
  const metadata = await readParquetMetadata(file).catch(broken)
  const large = metadata.row_groups.find(({ total_byte_size }) => Number(total_byte_size) > maxGroupBytes)
  if (large !== undefined)
    throw new DataError(
      `Expected row groups of at most ${maxGroupBytes} bytes, got ${large.total_byte_size}. Write the file with smaller row groups.`,
      path,
    )
  const total = Number(metadata.num_rows)
  for (let rowStart = 0; rowStart < total; rowStart += parquetBatchRows) {
    signal?.throwIfAborted()
    const rowEnd = Math.min(total, rowStart + parquetBatchRows)
    const found = await readParquetRows({ file, metadata, rowStart, rowEnd, parsers: { stringFromBytes } }).catch(
      broken,
    )
    for (const [i, values] of found.entries()) yield { values, file: path, line: rowStart + i + 1 }
  }
}

export const parquet: RowFormat = { extensions: ['.parquet'], rows }
