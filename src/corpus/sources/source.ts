// The contract between a source of documents (one file a format in this folder) and the pipeline that reads it.
// Determinism: the same bytes, config and version give the same documents and rejects in the same order, on any machine
// and whatever decompressor is installed. A source knows no filter, no shard and no output format.
import type { z } from 'zod'

/** Where a record was found. */
export interface SourcePosition {
  /** The path given to `open`. */
  path: string
  /** Byte offset of the record's first byte in the **decompressed** stream; in Parquet, the row number. */
  offset: number
}

/** One document: plain text, paragraphs separated by a blank line, and what is known about it. */
export interface SourceDocument {
  text: string
  /** Unique and stable inside one path. */
  id: string
  metadata: Record<string, string | number>
  source: SourcePosition
}

/** A record that gave no document. Never lost silently: the pipeline counts them by `reason`. */
export interface SourceReject {
  /** A short fixed label, such as `redirect`; what varies is in `detail`. */
  reason: string
  source: SourcePosition
  detail?: string
}

export type SourceRecord = SourceDocument | SourceReject

/** True when the record gave no document. */
export const isReject = (record: SourceRecord): record is SourceReject => 'reason' in record

export interface SourceContext {
  signal?: AbortSignal
}

/** A kind of source. Its paths may be plain, `.gz`, `.bz2` or `.zst`; compression is found by magic bytes, not by name. */
export interface SourceDefinition<Config = unknown> {
  type: string
  /** A `z.strictObject`; every field has a default and a description. */
  config: z.ZodType<Config>
  summary: string
  /** File name endings that a folder or a glob without an ending is searched for, each also with `.gz`, `.bz2`, `.zst`. */
  extensions: readonly string[]
  /**
   * Streams one path in bounded memory. A record that cannot be used is a reject and reading goes on; a stream that
   * cannot be read any further (truncated compression, a missing file) throws DataError after all that came before it.
   */
  open(path: string, config: Config, context: SourceContext): AsyncIterable<SourceRecord>
  /** Replaces the usual expansion of a folder, glob or list (see `expandPaths`) to the paths that `open` takes. */
  expand?(path: string, config: Config, context: SourceContext): Promise<string[]>
}

/** Declares a source; registered by one line in index.ts. */
export const defineSource = <Schema extends z.ZodType>(
  definition: Omit<SourceDefinition<z.output<Schema>>, 'config'> & { config: Schema },
): SourceDefinition<z.output<Schema>> & { config: Schema } =>
  definition as SourceDefinition<z.output<Schema>> & { config: Schema }
