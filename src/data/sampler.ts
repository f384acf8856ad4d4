// What a sampler is: an order of rows that any process can look up at any place. It knows none of them.
import type { IdArray } from './shard-manifest.ts'

/** One training example. */
export interface Row {
  ids: IdArray
  /** Where each document, or piece of one, begins in `ids`; the first is 0. */
  starts: number[]
  /** The part of a mixture that it came from; 0 elsewhere. */
  part: number
}

/** Rows in an order that is a pure function of (seed, epoch, index): whoever asks, however often, gets the same row. */
export interface Sampler {
  /** Rows in one epoch; Infinity for a mixture without an end. */
  readonly rowsPerEpoch: number
  /** Tokens that any row has at most. */
  readonly maxLength: number
  /** Throws a RangeError when `index` is not below `rowsPerEpoch`. */
  row(epoch: number, index: number): Row
}

/** The row at `position` when epochs follow each other. */
export const rowAt = (sampler: Sampler, position: number): Row => {
  if (sampler.rowsPerEpoch === Number.POSITIVE_INFINITY) return sampler.row(0, position)
  return sampler.row(Math.floor(position / sampler.rowsPerEpoch), position % sampler.rowsPerEpoch)
}

export const checkIndex = (epoch: number, index: number, rows: number): void => {
  if (!(Number.isSafeInteger(epoch) && epoch >= 0 && Number.isSafeInteger(index) && index >= 0 && index < rows)) {
    throw new RangeError(
      `Expected an epoch and an index below ${rows}, got ${epoch} and ${index}. Ask within the epoch.`,
    )
  }
}
