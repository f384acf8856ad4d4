// The corpus document: one JSON line of a part file. It knows the line format and nothing of files, stages or filters.

import { DataError, parseJson } from '../core/index.ts'

/** Where a document came from: the kind of source, the path as the user named it, the position in the decompressed stream. */
export interface DocumentSource {
  kind: string
  path: string
  /** Byte offset of the record in the decompressed stream (a row number in Parquet). */
  offset: number
}

/** One cleaned document of a corpus. */
export interface CorpusDocument {
  /** Unique in the corpus: the path, `#`, and the id inside that path. */
  id: string
  text: string
  source: DocumentSource
  metadata: Record<string, unknown>
}

/** One dropped document or rejected record, as the drop files list it. */
export interface DropLine {
  id: string | null
  source: DocumentSource
  stage: string
  reason: string
  detail?: string
  /** UTF-8 bytes of its text at the moment of the drop; absent for a record that gave no text. */
  bytes?: number
}

/** One line without its line end. The order of keys is fixed, so equal documents give equal bytes. */
export const encodeDocument = (document: CorpusDocument): string => {
  const { id, text, source, metadata } = document
  return JSON.stringify({ id, text, source: { kind: source.kind, path: source.path, offset: source.offset }, metadata })
}

/** Reads one line; DataError names `file` and `line` when it is not a document. */
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

/** Key order is fixed here, since drop files are hashed. */
export const dropLine = (
  { id, source }: CorpusDocument,
  stage: string,
  reason: string,
  bytes: number,
  detail?: string,
): DropLine => ({ id, source, stage, reason, ...(detail === undefined ? {} : { detail }), bytes })

/** UTF-8 length of `text` in bytes. */
export const textBytes = (text: string): number => Buffer.byteLength(text, 'utf8')
