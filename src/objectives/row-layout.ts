// Arranges the documents of a row as sequences, with start and end tokens, and truncates what exceeds the limit. Works
// on plain arrays.
import { ConfigError } from '../core/index.ts'
import type { IdArray } from '../data/index.ts'
import type { TextRow } from './objective.ts'

/**
 * Another form of a document, of at most `space` tokens with its end token; undefined leaves the document as it is. `kept` is
 * the number of tokens of the document that are in it.
 */
export type RewriteDocument = (document: IdArray, space: number) => { ids: Uint32Array; kept: number } | undefined

/** How a row becomes sequences. */
export interface LayoutOptions {
  /** Each document is its own sequence; otherwise the row is one sequence. */
  separate: boolean
  /** Token at the start of each sequence. */
  open?: number
  /** Token at the end of each document. */
  close?: number
  /** Documents that get `close`: all, or those that are complete in the row. */
  closes: 'all' | 'ended'
  /** Maximum number of tokens of all sequences together. */
  limit: number
  /** Tokens of each sequence that do not count towards the limit. */
  uncounted?: number
  rewrite?: RewriteDocument
}

/** A row as sequences. */
export interface Layout {
  ids: Uint32Array
  /** Start index of each sequence. */
  starts: number[]
  /** Start index of each document. */
  documents: number[]
  /** Truncated tokens of the row. */
  cut: number
}

/** Arranges the documents of a row. */
export const layOut = (row: TextRow, options: LayoutOptions): Layout => {
  const { separate, open, close, closes, limit, uncounted = 0, rewrite } = options
  const count = row.starts.length
  const ids = new Uint32Array(
    Math.max(row.ids.length + 2 * count, rewrite === undefined ? 0 : limit + uncounted * count),
  )
  const starts: number[] = []
  const documents: number[] = []
  let at = 0
  let kept = 0
  for (let i = 0; i < count; i++) {
    const begins = separate || i === 0
    const from = row.starts[i]
    const end = row.starts[i + 1] ?? row.ids.length
    // Shards have the end token after a document: it must not be there twice.
    const closed = close !== undefined && row.ids[end - 1] === close
    const size = end - from - (closed ? 1 : 0)
    // A row may begin with the end token of the last row's document, which is nothing to learn by itself.
    if (size === 0 && separate && count > 1) {
      kept++
      continue
    }
    const opening = begins && open !== undefined ? 1 : 0
    const space = limit + uncounted * (starts.length + (begins ? 1 : 0)) - at - opening
    const always = close !== undefined && closes === 'all'
    const take = Math.min(size, space - (always ? 1 : 0))
    if (take < 1 && (size > 0 || space < 1)) break
    const ended = closed || i < count - 1 || row.endsDocument === true
    if (begins) starts.push(at)
    documents.push(at)
    if (opening === 1) ids[at++] = open as number
    const rewritten = rewrite?.(row.ids.subarray(from, from + size), space)
    const written = rewritten?.ids ?? row.ids.subarray(from, from + take)
    const own = rewritten?.kept ?? take
    const closing =
      rewritten === undefined && (always || (close !== undefined && ended && take === size && size < space))
    ids.set(written, at)
    at += written.length
    if (closing) ids[at++] = close as number
    kept += own + (closed && own === size && (closing || rewritten !== undefined) ? 1 : 0)
    if (own < size) break
  }
  return { ids: ids.subarray(0, at), starts, documents, cut: row.ids.length - kept }
}

/** @throws ConfigError when `maxLength` is below the minimum of an objective */
export const expectLength = (maxLength: number, least: number, objective: string): void => {
  if (!Number.isSafeInteger(maxLength) || maxLength < least)
    throw new ConfigError(
      `Expected a whole number of at least ${least} for \`maxLength\` of ${objective}, got ${maxLength}. Raise it.`,
    )
}
