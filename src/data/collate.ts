// Collates rows into a batch of typed arrays: padded to one length, or concatenated without padding. Splits batches into micro-batches.
// Independent of tensors, labels and masking.
import { ConfigError, DataError } from '../core/index.ts'
import type { Row } from './sampler.ts'

/** Rows padded to one length; B is the number of rows, T the length. */
export interface PaddedBatch {
  batchSize: number
  length: number
  /** [B,T], token ids. */
  inputIds: Int32Array
  /** [B,T], 1 for a token, 0 for padding. */
  attentionMask: Uint8Array
  /** [B,T], index of the token's document in its row, from 0; -1 for padding. */
  documents: Int32Array
  /** [B,T], position of the token in its document (with `separateDocuments`) or in its row; 0 for padding. */
  positions: Int32Array
}

/** Options of `collatePadded`. */
export interface PadOptions {
  /** Id of the padding token. */
  padId: number
  /** Length in tokens (default: that of the longest row). */
  length?: number
  /** Round the length up to a multiple of this number, for kernels that work in blocks (default: 1). */
  multipleOf?: number
  /** Side that is padded (default: right). */
  side?: 'left' | 'right'
  /** Restart positions at each document, for rows whose documents do not attend to each other (default: false). */
  separateDocuments?: boolean
}

/** Pads rows to one length. Throws DataError for a row longer than `length`. */
export const collatePadded = (rows: readonly Row[], options: PadOptions): PaddedBatch => {
  const { padId, multipleOf = 1, side = 'right', separateDocuments = false } = options
  checkRows(rows)
  const longest = rows.reduce((most, { ids }) => Math.max(most, ids.length), 0)
  const required = options.length ?? longest
  if (longest > required) {
    throw new DataError(
      `Expected rows of at most ${required} tokens, got one of ${longest}. Truncate it, or raise the length.`,
    )
  }
  if (!(Number.isInteger(multipleOf) && multipleOf > 0)) {
    throw new ConfigError(`Expected a positive integer for \`multipleOf\`, got ${multipleOf}. Use 1 for no rounding.`)
  }
  const length = Math.ceil(required / multipleOf) * multipleOf
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

/** Concatenated sequences without padding; N is the total number of tokens. */
export interface UnpaddedBatch {
  /** [N], token ids of all sequences. */
  inputIds: Int32Array
  /** [N], position of each token in its sequence. */
  positions: Int32Array
  /** Start of each sequence, followed by N: one element more than there are sequences. */
  starts: Int32Array
  /** Length of the longest sequence. */
  maxLength: number
  /** The row of each sequence. */
  rows: Int32Array
}

/** Concatenates rows. A sequence is a document with `separateDocuments`, else a whole row. Throws DataError. */
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
    const sequences = separateDocuments ? row.starts : [0]
    for (let sequence = 0; sequence < sequences.length; sequence++) {
      const end = sequences[sequence + 1] ?? row.ids.length
      for (let i = sequences[sequence]; i < end; i++) positions[offset + i] = i - sequences[sequence]
      starts.push(offset + sequences[sequence])
      rowOf.push(index)
      maxLength = Math.max(maxLength, end - sequences[sequence])
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
        `Expected non-empty rows with ascending document starts from 0, got ${ids.length} tokens and ${starts.slice(0, 8)}.`,
      )
    }
  }
}

/** Splits a global batch: indices of examples by micro-batch, each of at most `maxTokens` unless one example is larger. Padding counts if they are padded. */
export const planMicroBatches = (lengths: readonly number[], maxTokens: number, padded: boolean): number[][] => {
  // Similar lengths together, for little padding; a stable order, for the same plan every time.
  const order = lengths.map((_, i) => i)
  if (padded) order.sort((a, b) => lengths[b] - lengths[a] || a - b)
  const parts: number[][] = []
  let size = 0
  let longest = 0
  for (const i of order) {
    const open = parts.at(-1)
    const [wouldBeLongest, wouldBeTokens] = [Math.max(longest, lengths[i]), size + lengths[i]]
    const cost = padded ? wouldBeLongest * ((open?.length ?? 0) + 1) : wouldBeTokens
    if (open === undefined || cost > maxTokens) {
      parts.push([i])
      size = lengths[i]
      longest = lengths[i]
    } else {
      open.push(i)
      size = wouldBeTokens
      longest = wouldBeLongest
    }
  }
  return parts
}
