// Lays the documents of a row out as sequences, with the tokens that open and close them, and cuts what does not fit. Works on
// plain arrays; knows no objective.
import { ConfigError } from '../core/index.ts'
import type { TextRow } from './objective.ts'

export interface LayoutOptions {
  /** Documents are sequences of their own; otherwise the whole row is one. */
  separate: boolean
  /** Opens each sequence. */
  open?: number
  /** Closes each document. */
  close?: number
  /** Which documents are closed: all, or those that are known to end where they end in the row. */
  closes: 'all' | 'ended'
  /** Most tokens of all sequences together. */
  limit: number
  /** Tokens of each sequence that do not count. */
  uncounted?: number
}

export interface Layout {
  ids: Uint32Array
  /** Where sequences begin. */
  starts: number[]
  /** Where documents begin. */
  documents: number[]
  /** Tokens of the row that did not fit. */
  cut: number
}

export const layOut = (row: TextRow, options: LayoutOptions): Layout => {
  const { separate, open, close, closes, limit, uncounted = 0 } = options
  const count = row.starts.length
  const ids = new Uint32Array(row.ids.length + 2 * count)
  const starts: number[] = []
  const documents: number[] = []
  let at = 0
  let kept = 0
  for (let i = 0; i < count; i++) {
    const begins = separate || i === 0
    const from = row.starts[i]
    const size = (row.starts[i + 1] ?? row.ids.length) - from
    const opening = begins && open !== undefined ? 1 : 0
    const room = limit + uncounted * (starts.length + (begins ? 1 : 0)) - at - opening
    const always = close !== undefined && closes === 'all'
    const take = Math.min(size, room - (always ? 1 : 0))
    if (take < 1) break
    const ended = i < count - 1 || row.endsDocument === true
    const closing = always || (close !== undefined && ended && take === size && size < room)
    if (begins) starts.push(at)
    documents.push(at)
    if (opening === 1) ids[at++] = open as number
    ids.set(row.ids.subarray(from, from + take), at)
    at += take
    kept += take
    if (closing) ids[at++] = close as number
    if (take < size) break
  }
  return { ids: ids.subarray(0, at), starts, documents, cut: row.ids.length - kept }
}

/** @throws ConfigError when rows of `maxLength` cannot hold what an example needs. */
export const expectRoom = (maxLength: number, least: number, objective: string): void => {
  if (!Number.isSafeInteger(maxLength) || maxLength < least)
    throw new ConfigError(
      `Expected a whole number of at least ${least} for \`maxLength\` of ${objective}, got ${maxLength}. Raise it.`,
    )
}
