// Rows between Spark and the worker: one line each, fields divided by tabs. Texts and documents are JSON, which escapes
// tabs and line ends, so no field has any.

import { BatchWriter } from '../worker/protocol.ts'

/** SQL types by column name, in order. */
export type RowColumns = Readonly<Record<string, string>>

/** The columns of the tables `read` and `documents`, of which each kind of row uses some. */
export const documentColumns = {
  /** `raw` and `document` (before and after filters), `drop`, `key`, `item` (see `itemColumns`), `summary`. */
  kind: 'STRING',
  /** Number of the piece of the input, as of `planPieces`. */
  piece: 'INT',
  /** Number of the segment of a large file; 0 for other pieces, -1 for drops while reading a large file. */
  segment: 'INT',
  /** Number of the file in which the embedded engine would put the document; -1 for drops. */
  item: 'INT',
  /** Number of the record in its piece. */
  row: 'BIGINT',
  /** Number of the deduplicator of a `key`. */
  stage: 'INT',
  /** UTF-8 bytes of text of an `item`. */
  bytes: 'BIGINT',
  /** JSON of a document, a drop line or a summary. */
  line: 'STRING',
  /** JSON array of the values of a `key`. */
  keys: 'STRING',
} as const satisfies RowColumns

/** Groups of documents in order, from which the parts are made. */
export const itemColumns = { piece: 'INT', segment: 'INT', item: 'INT', part: 'INT' } as const satisfies RowColumns
export const clusterColumns = { member: 'INT', root: 'INT' } as const satisfies RowColumns
export const overlapColumns = { piece: 'INT', row: 'BIGINT', gram: 'INT' } as const satisfies RowColumns
/** `kind`: `part`, `dropped` or `summary`; `place` orders the lines of a part. */
export const partColumns = {
  part: 'INT',
  kind: 'STRING',
  place: 'BIGINT',
  line: 'STRING',
} as const satisfies RowColumns

/** Values of one row by column; a column without a value is NULL. */
export type RowValues<Columns extends RowColumns> = { [Name in keyof Columns]?: string | number }

/** How Spark's script transform writes and reads NULL. */
const nullField = '\\N'

/** The fields of a line; undefined stands for NULL. */
export const parseRow = (line: string): (string | undefined)[] =>
  line.split('\t').map((field) => (field === nullField ? undefined : field))

/** Writes rows to a stream, in batches. */
export class RowWriter extends BatchWriter {
  async write<Columns extends RowColumns>(columns: Columns, values: RowValues<Columns>): Promise<void> {
    const fields = Object.keys(columns).map((name) => values[name] ?? nullField)
    await this.line(fields.join('\t'))
  }
}
