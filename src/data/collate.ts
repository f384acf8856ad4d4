// Puts rows together into a batch: padded to one length, or end to end without padding. Plain typed arrays; no tensors, no
// labels, no masking of words.
import { ConfigError, DataError } from '../core/index.ts'
import type { Row } from './sampler.ts'

export interface PaddedBatch {
  batchSize: number
  length: number
  /** [B,T] */
  inputIds: Int32Array
  /** [B,T]: 1 for a token, 0 for padding. */
  attentionMask: Uint8Array
  /** [B,T]: which document of its row a token belongs to, counted from 0; -1 for padding. */
  documents: Int32Array
  /** [B,T]: place of a token in its document, or in its row when documents are not separate; 0 for padding. */
  positions: Int32Array
}

export interface PadOptions {
  padId: number
  /** The length of the batch; that of the longest row unless given. */
  length?: number
  /** Rounds the length up, for kernels that like whole blocks. */
  multipleOf?: number
  side?: 'left' | 'right'
  /** Documents of one row do not see each other: positions begin anew with each. */
  separateDocuments?: boolean
}

/** Pads rows to one length. Throws a DataError for a row longer than `length`. */
export const collatePadded = (rows: readonly Row[], options: PadOptions): PaddedBatch => {
  const { padId, multipleOf = 1, side = 'right', separateDocuments = false } = options
  checkRows(rows)
  const longest = rows.reduce((most, { ids }) => Math.max(most, ids.length), 0)
  const wanted = options.length ?? longest
  if (longest > wanted) {
    throw new DataError(
      `Expected rows of at most ${wanted} tokens, got one of ${longest}. Cut it, or raise the length.`,
    )
  }
  if (!(Number.isInteger(multipleOf) && multipleOf > 0)) {
    throw new ConfigError(`Expected a positive integer for \`multipleOf\`, got ${multipleOf}.`)
  }
  const length = Math.ceil(wanted / multipleOf) * multipleOf
  const batch: PaddedBatch = {
    batchSize: rows.length,
    length,
    inputIds: new Int32Array(rows.length * length).fill(padId),
    attentionMask: new Uint8Array(rows.length * length),
    documents: new Int32Array(rows.length * length).fill(-1),
    positions: new Int32Array(rows.length * length),
  }
  for (const [index, { ids, starts }] of rows.entries()) {
    const offset = index * length + (side === 'left' ? length - ids.length : 0)
    batch.inputIds.set(ids, offset)
    batch.attentionMask.fill(1, offset, offset + ids.length)
    for (let document = 0; document < starts.length; document++) {
      const end = starts[document + 1] ?? ids.length
      batch.documents.fill(document, offset + starts[document], offset + end)
      for (let i = starts[document]; i < end; i++) {
        batch.positions[offset + i] = separateDocuments ? i - starts[document] : i
      }
    }
  }
  return batch
}

export interface UnpaddedBatch {
  /** [N]: all tokens, one sequence after another. */
  inputIds: Int32Array
  /** [N]: place of a token in its sequence. */
  positions: Int32Array
  /** Where each sequence begins, and the number of tokens at the end: one more than there are sequences. */
  starts: Int32Array
  /** Tokens of the longest sequence. */
  maxLength: number
  /** The row that each sequence came from. */
  rows: Int32Array
}

/** Puts rows end to end. A sequence is a document when `separateDocuments`, else a whole row. */
export const collateUnpadded = (
  rows: readonly Row[],
  { separateDocuments = false }: { separateDocuments?: boolean } = {},
): UnpaddedBatch => {
  checkRows(rows)
  const total = rows.reduce((sum, { ids }) => sum + ids.length, 0)
  const inputIds = new Int32Array(total)
  const positions = new Int32Array(total)
  const starts: number[] = []
  const rowOf: number[] = []
  let offset = 0
  let maxLength = 0
  for (const [index, row] of rows.entries()) {
    inputIds.set(row.ids, offset)
    const cuts = separateDocuments ? row.starts : [0]
    for (let sequence = 0; sequence < cuts.length; sequence++) {
      const end = cuts[sequence + 1] ?? row.ids.length
      for (let i = cuts[sequence]; i < end; i++) positions[offset + i] = i - cuts[sequence]
      starts.push(offset + cuts[sequence])
      rowOf.push(index)
      maxLength = Math.max(maxLength, end - cuts[sequence])
    }
    offset += row.ids.length
  }
  return { inputIds, positions, starts: Int32Array.from([...starts, total]), maxLength, rows: Int32Array.from(rowOf) }
}

const checkRows = (rows: readonly Row[]): void => {
  for (const { ids, starts } of rows) {
    const rising = starts.every((start, i) => start < ids.length && (i === 0 ? start === 0 : start > starts[i - 1]))
    if (ids.length === 0 || starts.length === 0 || !rising) {
      throw new DataError(
        `Expected rows with tokens and rising document starts from 0, got ${ids.length} tokens and ${starts.slice(0, 8)}.`,
      )
    }
  }
}
