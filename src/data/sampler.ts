// The interface of samplers: a deterministic order of rows with random access.
import type { IdArray } from './shard-manifest.ts'

/** One training row. */
export interface Row {
  /** Token ids. */
  ids: IdArray
  /** Start of each document, or piece of one, in `ids`; the first is 0. */
  starts: number[]
  /** Index of the mixture part that the row came from; 0 without a mixture. */
  part: number
}

/** Rows in an order that is a pure function of (seed, epoch, index). */
export interface Sampler {
  /** Number of rows in one epoch; Infinity for an endless mixture. */
  readonly rowsPerEpoch: number
  /** Maximum row length in tokens. */
  readonly maxLength: number
  /** Returns one row. Throws RangeError if `index` is not below `rowsPerEpoch`. */
  row(epoch: number, index: number): Row
  /** Where a row begins, for messages: a document of a folder of shards. Undefined where that is not known. */
  place?(epoch: number, index: number): string | undefined
}

const epochAndIndex = ({ rowsPerEpoch }: Sampler, position: number): [number, number] =>
  rowsPerEpoch === Number.POSITIVE_INFINITY
    ? [0, position]
    : [Math.floor(position / rowsPerEpoch), position % rowsPerEpoch]

/** The row at `position`, counted over all epochs. */
export const rowAt = (sampler: Sampler, position: number): Row => sampler.row(...epochAndIndex(sampler, position))

/** Where the row at `position` begins, for messages. */
export const placeAt = (sampler: Sampler, position: number): string | undefined =>
  sampler.place?.(...epochAndIndex(sampler, position))

/** Throws RangeError for an epoch or index out of range. */
export const checkIndex = (epoch: number, index: number, rows: number): void => {
  if (!(Number.isSafeInteger(epoch) && epoch >= 0 && Number.isSafeInteger(index) && index >= 0 && index < rows)) {
    throw new RangeError(`Expected an epoch from 0 and an index below ${rows}, got epoch ${epoch} and index ${index}.`)
  }
}
