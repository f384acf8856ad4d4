// Counts of the records of files: how many were read, and how many were skipped by reason.
import { DataError } from '../../core/index.ts'

/** Skipped records of one reason. */
export interface Skipped {
  count: number
  /** The error message of the first one. */
  first: string
}

/** What was read from the files of a data set. */
export interface ReadReport {
  files: string[]
  records: number
  /** By reason. */
  skipped: { [reason: string]: Skipped }
  /** Columns that no setting reads. */
  unreadColumns?: string[]
  /** Answers whose offset was moved to the nearest occurrence of their text. */
  movedAnswers?: number
}

/** What is wrong with one record; `onFault` decides whether it is an error or skipped. */
export interface RecordFault {
  /** A short name that is counted, such as `empty-text`. */
  reason: string
  /** The error message. */
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

  /** Counts a fault. @throws DataError with file and line unless faults are skipped */
  fault({ reason, message }: RecordFault, { file, line }: Place): void {
    const error = new DataError(message, file, line)
    if (this.#onFault === 'error') throw error
    const known = this.skipped[reason]
    if (known === undefined) this.skipped[reason] = { count: 1, first: error.message }
    else known.count++
  }
}

/** The error of a path without a usable record. */
export const noRecords = (path: string, ...counters: readonly FaultCounter[]): DataError => {
  const reasons = counters
    .flatMap(({ skipped }) => Object.entries(skipped))
    .map(([reason, { count }]) => `${count} ${reason}`)
  const got = reasons.length === 0 ? 'none' : `only unusable ones (${reasons.join(', ')})`
  return new DataError(`Expected at least one record, got ${got}.`, path)
}
