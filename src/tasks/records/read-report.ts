// What became of the records of files: how many were read, and which were passed over and why. Knows no format.
import { DataError } from '../../core/index.ts'

export interface Skipped {
  count: number
  /** The first one, as an error would have said it. */
  first: string
}

export interface ReadReport {
  files: string[]
  records: number
  /** By reason. */
  skipped: { [reason: string]: Skipped }
  /** Answers that were taken to be at another place than the data says. */
  movedAnswers?: number
}

/** What is wrong with one record, before it is known what to do about it. */
export interface RecordFault {
  /** A short name that is counted, such as `empty-text`. */
  reason: string
  /** In the form of all errors. */
  message: string
}

export interface Place {
  file: string
  line: number | undefined
}

/** Throws for faults, or counts them. */
export class FaultCounter {
  readonly skipped: ReadReport['skipped'] = {}
  readonly #onFault: 'error' | 'skip'

  constructor(onFault: 'error' | 'skip') {
    this.#onFault = onFault
  }

  /** @throws DataError with file and line unless faults are passed over */
  fault({ reason, message }: RecordFault, { file, line }: Place): void {
    const error = new DataError(message, file, line)
    if (this.#onFault === 'error') throw error
    const known = this.skipped[reason]
    if (known === undefined) this.skipped[reason] = { count: 1, first: error.message }
    else known.count++
  }
}

/** What to throw for a path that gave no record. */
export const noRecords = (path: string, ...counters: readonly FaultCounter[]): DataError => {
  const reasons = counters
    .flatMap(({ skipped }) => Object.entries(skipped))
    .map(([reason, { count }]) => `${count} ${reason}`)
  const got = reasons.length === 0 ? 'none' : `only some that cannot be used (${reasons.join(', ')})`
  return new DataError(`Expected at least one record, got ${got}.`, path)
}
