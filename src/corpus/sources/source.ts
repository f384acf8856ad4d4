// The contract of a source of documents. Determinism: equal bytes, config and version give the same documents and
// rejects in the same order, on any machine and with any installed decompressor.

import { z } from 'zod'
import { expandFiles } from '../../files/index.ts'

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

/** An option that limits bytes. */
export const maximumBytes = (megabytes: number, description: string) =>
  z
    .number()
    .int()
    .positive()
    .default(megabytes * 1024 * 1024)
    .describe(description)

/** Declares a source. */
export const defineSource = <Schema extends z.ZodType>(
  definition: Omit<SourceDefinition<z.output<Schema>>, 'config'> & { config: Schema },
): SourceDefinition<z.output<Schema>> & { config: Schema } =>
  definition as SourceDefinition<z.output<Schema>> & { config: Schema }

/** A text with LF line ends, without control characters, and with at most one blank line in a row. */
export const normalizeText = (text: string): string =>
  text
    .replace(/\r\n?/g, '\n')
    .replace(/[\u0000-\u0008\u000b\u000e-\u001f\u007f\ufeff]/g, '')
    .replace(/[ \t\f]+$/gm, '')
    .replace(/\n{3,}/g, '\n\n')
    .replace(/^\n+|\n+$/g, '')

/** The scalar fields of a record as metadata. */
export const scalarMetadata = (record: Record<string, unknown>, except: string): Record<string, string | number> => {
  const metadata: Record<string, string | number> = {}
  for (const [key, value] of Object.entries(record)) {
    if (key === except) continue
    if (typeof value === 'string') metadata[key] = value
    else if (typeof value === 'number' && Number.isFinite(value)) metadata[key] = value
    else if (typeof value === 'bigint') metadata[key] = value.toString()
    else if (typeof value === 'boolean') metadata[key] = value ? 1 : 0
  }
  return metadata
}

/**
 * The inputs that a path names for a source: files by default (see `expandFiles`), or those of the source's own
 * `expand`.
 * @throws DataError when nothing is found
 */
export const expandPaths = async <Config>(
  source: SourceDefinition<Config>,
  path: string,
  config: Config,
  context: SourceContext = {},
): Promise<string[]> => {
  if (source.expand !== undefined) return source.expand(path, config, context)
  return expandFiles(path, source.extensions)
}
