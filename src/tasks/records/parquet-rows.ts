// Rows of Parquet files, a few thousand at a time, with their number in place of a line.
import { asyncBufferFromFile, type FileMetaData } from 'hyparquet'
import { DataError } from '../../core/index.ts'
import { parquetBatchRows, readParquetMetadata, readParquetRows } from '../../files/index.ts'
import { type DataRow, isFields, type RowContext, type RowFormat } from './row.ts'

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

/** The names of a `ClassLabel`, or of the list around one in any form that versions of `datasets` write. */
const namesOf = (feature: unknown): readonly string[] | undefined => {
  if (Array.isArray(feature)) return feature.length === 1 ? namesOf(feature[0]) : undefined
  if (!isFields(feature)) return undefined
  const { _type: type, names } = feature
  if (type !== 'ClassLabel') return namesOf(feature.feature)
  return Array.isArray(names) && names.every((name) => typeof name === 'string') ? names : undefined
}

/** Names of classes by column, which the library `datasets` writes beside their numbers. */
const classNamesOf = ({ key_value_metadata: entries = [] }: FileMetaData): { [column: string]: readonly string[] } => {
  const written = entries.find(({ key }) => key === 'huggingface')?.value
  try {
    const { info } = JSON.parse(written ?? '{}') as { info?: { features?: unknown } }
    const features = isFields(info?.features) ? info.features : {}
    const named = Object.entries(features).map(([column, feature]) => [column, namesOf(feature)] as const)
    return Object.fromEntries(named.flatMap(([column, names]) => (names === undefined ? [] : [[column, names]])))
  } catch {
    // The rows are complete without this metadata of one library.
    return {}
  }
}

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
  const classNames = classNamesOf(metadata)
  const total = Number(metadata.num_rows)
  for (let rowStart = 0; rowStart < total; rowStart += parquetBatchRows) {
    signal?.throwIfAborted()
    const rowEnd = Math.min(total, rowStart + parquetBatchRows)
    const found = await readParquetRows({ file, metadata, rowStart, rowEnd, parsers: { stringFromBytes } }).catch(
      broken,
    )
    for (const [i, values] of found.entries()) yield { values, classNames, file: path, line: rowStart + i + 1 }
  }
}

export const parquet: RowFormat = { extensions: ['.parquet'], rows }
