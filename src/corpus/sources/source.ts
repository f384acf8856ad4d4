// The contract of a source of documents. Determinism: equal bytes, config and version give the same documents and
// rejects in the same order, on any machine and with any installed decompressor.
import type { z } from 'zod'

/** Position of a record. */
export interface SourcePosition {
  /** Path given to `open`. */
  path: string
  /** Byte offset of the record's first byte in the **decompressed** stream; in Parquet, the row number. */
  offset: number
}

/** One document: plain text with paragraphs separated by a blank line, and its metadata. */
export interface SourceDocument {
  text: string
  /** Unique and stable within one path. */
  id: string
  metadata: Record<string, string | number>
  source: SourcePosition
}

/** A record without a document; the pipeline counts these by `reason`. */
export interface SourceReject {
  /** A fixed label such as `redirect`; variable text is in `detail`. */
  reason: string
  source: SourcePosition
  detail?: string
}

export type SourceRecord = SourceDocument | SourceReject

/** Whether a record is a reject. */
export const isReject = (record: SourceRecord): record is SourceReject => 'reason' in record

export interface SourceContext {
  signal?: AbortSignal | undefined
}

/** A kind of source. Its files may be compressed by gzip, bzip2 or zstd, which is detected by magic bytes. */
export interface SourceDefinition<Config = unknown> {
  type: string
  /** A `z.strictObject`; every field has a default and a description. */
  config: z.ZodType<Config>
  summary: string
  /** Extensions of its files in a folder, each also with `.gz`, `.bz2` or `.zst`. */
  extensions: readonly string[]
  /**
   * Streams one path in bounded memory. An unusable record is a reject, and reading continues.
   * @throws DataError, after all records before it, when the stream cannot be read further
   */
  open(path: string, config: Config, context: SourceContext): AsyncIterable<SourceRecord>
  /** Expands a path to those for `open`, instead of the usual folders, globs and lists (see `expandPaths`). */
  expand?(path: string, config: Config, context: SourceContext): Promise<string[]>
}

/** Declares a source. */
export const defineSource = <Schema extends z.ZodType>(
  definition: Omit<SourceDefinition<z.output<Schema>>, 'config'> & { config: Schema },
): SourceDefinition<z.output<Schema>> & { config: Schema } =>
  definition as SourceDefinition<z.output<Schema>> & { config: Schema }
