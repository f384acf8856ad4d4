// A row of a file with its columns, what a file format defines, and counts of the records that were read or skipped.
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

/** Reasons that single records have in data that is read rightly: a value is missing. Others are mostly wrong settings. */
const ownFaults: ReadonlySet<string> = new Set(['empty-text', 'no-text', 'no-label', 'no-number'])

const skipAdvice = (part: 'settings' | 'columns' | undefined): string =>
  `Correct the record, or skip and count such records: \`${part}.onFault: "skip"\`.`

/** Throws for faults, or counts them. */
export class FaultCounter {
  readonly skipped: ReadReport['skipped'] = {}
  readonly #onFault: 'error' | 'skip'
  readonly #part: 'settings' | 'columns' | undefined

  /** @param part of the recipe that `onFault` is set in, for errors to name; undefined where no user can set it */
  constructor(onFault: 'error' | 'skip', part?: 'settings' | 'columns') {
    this.#onFault = onFault
    this.#part = part
  }

  fault({ reason, message }: RecordFault, place: Place): void {
    this.count(reason, message, place)
  }

  /** Counts a fault. @throws DataError with file and line unless faults are skipped */
  count(reason: string, message: string, { file, line }: Place): void {
    if (this.#onFault === 'error') {
      const isOwn = this.#part !== undefined && ownFaults.has(reason)
      throw new DataError(isOwn ? `${message} ${skipAdvice(this.#part)}` : message, file, line)
    }
    const known = this.skipped[reason]
    if (known === undefined) this.skipped[reason] = { count: 1, first: new DataError(message, file, line).message }
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

export type Fields = { [name: string]: unknown }

/** Whether a value is a plain object. */
export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export interface DataRow extends Place {
  values: Fields
  /** What separates the columns of a text file, such as a comma; undefined for formats that name the columns of each row. */
  delimiter?: string
  /** By column: names of classes whose numbers the column has, as files of Hugging Face declare them. */
  classNames?: { readonly [column: string]: readonly string[] }
}

export interface RowContext {
  faults: FaultCounter
  /** Whether the first line of separated values names the columns. */
  header: boolean
  quotes: 'auto' | 'read' | 'literal'
  /** Format folders: names of the folders to read (default: all). */
  folders?: readonly string[]
  /** Format folders: a folder above those of the classes. */
  split?: string
  signal?: AbortSignal | undefined
}

export interface RowFormat {
  /** File endings, without that of a compression. */
  extensions: readonly string[]
  rows(file: string, context: RowContext): AsyncIterable<DataRow>
}
