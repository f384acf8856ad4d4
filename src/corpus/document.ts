// The corpus document and its format: one JSON line of a part file.

import { DataError, parseJson } from '../core/index.ts'

/** Origin of a document. */
export interface DocumentSource {
  /** Kind of source, such as `wikipedia`. */
  kind: string
  /** Path of the input. */
  path: string
  /** Byte offset of the record in the decompressed stream (a row number in Parquet). */
  offset: number
}

/** One cleaned document of a corpus. */
export interface CorpusDocument {
  /** Unique in the corpus: the path, `#`, and the id within that path. */
  id: string
  text: string
  source: DocumentSource
  metadata: Record<string, unknown>
}

/** A line of a drop list: a dropped document or a rejected record. */
export interface DropLine {
  id: string | null
  source: DocumentSource
  stage: string
  reason: string
  detail?: string
  /** UTF-8 bytes of the text when it was dropped; absent for a record without text. */
  bytes?: number
}

/**
 * A document as one line without its line end; the order of keys is fixed, so that equal documents give equal bytes.
 */
export const encodeDocument = (document: CorpusDocument): string => {
  const { id, text, source, metadata } = document
  return JSON.stringify({ id, text, source: { kind: source.kind, path: source.path, offset: source.offset }, metadata })
}

/** The document of one line. @throws DataError that names the file and line when it is not a document */
export const decodeDocument = (line: string, file: string, lineNumber: number): CorpusDocument => {
  const value = parseJson(line, { path: file, line: lineNumber })
  if (!isDocument(value)) {
    throw new DataError('Expected a document with `id`, `text` and `source`, got another object.', file, lineNumber)
  }
  return value
}

const isDocument = (value: unknown): value is CorpusDocument => {
  if (typeof value !== 'object' || value === null) return false
  const { id, text, source, metadata } = value as Partial<CorpusDocument>
  return (
    typeof id === 'string' &&
    typeof text === 'string' &&
    typeof source === 'object' &&
    source !== null &&
    typeof source.path === 'string' &&
    typeof metadata === 'object' &&
    metadata !== null
  )
}

/** A line of a drop list, with a fixed order of keys, since drop lists are hashed. */
export const dropLine = (
  { id, source }: CorpusDocument,
  stage: string,
  reason: string,
  bytes: number,
  detail?: string,
): DropLine => ({ id, source, stage, reason, ...(detail === undefined ? {} : { detail }), bytes })

/** UTF-8 length of `text` in bytes. */
export const textBytes = (text: string): number => Buffer.byteLength(text, 'utf8')
