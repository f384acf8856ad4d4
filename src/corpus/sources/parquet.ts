// Parquet files, one row per document.
import { type AsyncBuffer, asyncBufferFromFile } from 'hyparquet'
import { z } from 'zod'
import { DataError } from '../../core/index.ts'
import { parquetBatchRows, readParquetMetadata, readParquetRows, requireRegularFile } from '../../files/index.ts'
import { recordConfig, toDocument } from './jsonl.ts'
import { defineSource, maximumBytes, type SourceContext, type SourceRecord } from './source.ts'

const config = z.strictObject({
  ...recordConfig,
  maxRowGroupBytes: maximumBytes(
    1024,
    'maximum bytes per row group, which is kept in memory; files with larger ones are refused',
  ),
})

/** Reads rows from any random-access file; `path` names it. The position of a document is its row number. */
export async function* readParquet(
  file: AsyncBuffer,
  path: string,
  options: z.output<typeof config>,
  { signal }: SourceContext,
): AsyncGenerator<SourceRecord> {
  const metadata = await readParquetMetadata(file).catch((error: Error) => {
    throw new DataError(`Expected a Parquet file, got a broken footer (${error.message}). Fetch the file again.`, path)
  })
  const columns = new Set(metadata.schema.slice(1).map((column) => column.name))
  if (!columns.has(options.textField)) {
    throw new DataError(
      `Expected a column "${options.textField}" for \`textField\`, got ${[...columns].slice(0, 20).join(', ')}. Name the column that holds the text.`,
      path,
    )
  }
  let rowStart = 0
  for (const group of metadata.row_groups) {
    if (Number(group.total_byte_size) > options.maxRowGroupBytes) {
      throw new DataError(
        `Expected row groups of at most ${options.maxRowGroupBytes} bytes for \`maxRowGroupBytes\`, got ${group.total_byte_size}. Raise it, or write the file with smaller row groups.`,
        path,
      )
    }
    const groupEnd = rowStart + Number(group.num_rows)
    while (rowStart < groupEnd) {
      signal?.throwIfAborted()
      const rowEnd = Math.min(groupEnd, rowStart + parquetBatchRows)
      const from = rowStart
      const rows = await readParquetRows({
        file,
        metadata,
        rowStart,
        rowEnd,
        ...(options.metadata
          ? {}
          : { columns: [options.textField, options.idField].filter((name) => columns.has(name)) }),
      }).catch((error: Error) => {
        throw new DataError(`Expected readable rows from ${from} on, got ${error.message}. Fetch the file again.`, path)
      })
      for (const [index, row] of rows.entries()) {
        yield toDocument(row, rowStart + index, { path, offset: rowStart + index }, options)
      }
      rowStart = rowEnd
    }
  }
}

async function* open(
  path: string,
  options: z.output<typeof config>,
  context: SourceContext,
): AsyncGenerator<SourceRecord> {
  const { size } = await requireRegularFile(path)
  if (size === 0) throw new DataError('Expected a Parquet file, got an empty file. Check the path.', path)
  yield* readParquet(await asyncBufferFromFile(path), path, options, context)
}

/** Parquet files. */
export const parquet = defineSource({
  type: 'parquet',
  config,
  summary: 'Parquet files, one row per document',
  extensions: ['.parquet'],
  open,
})
