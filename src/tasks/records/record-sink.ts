// Where the records of a file go: into a list, or one by one to a receiver.
import type { ReadOptions, TaskRecord } from '../task.ts'

/** Takes records, and counts them. */
export class RecordSink<Record extends TaskRecord> {
  /** Empty where the records went to `onRecord`. */
  readonly records: Record[] = []
  #count = 0
  readonly #onRecord: ReadOptions<Record>['onRecord']

  constructor({ onRecord }: Pick<ReadOptions<Record>, 'onRecord'>) {
    this.#onRecord = onRecord
  }

  get count(): number {
    return this.#count
  }

  /** Waits only where the receiver asks for it. */
  add(record: Record): void | Promise<void> {
    this.#count++
    if (this.#onRecord !== undefined) return this.#onRecord(record)
    this.records.push(record)
  }
}

const known = new WeakSet<object>()

/**
 * Marks a task's `read` as one that hands records to `onRecord`. A function that wraps it, such as one that leaves records out, has no
 * mark and is read as a whole.
 */
export const streaming = <Read extends object>(read: Read): Read => {
  known.add(read)
  return read
}

/** Whether a task's `read` takes `onRecord`. */
export const isStreaming = (read: object): boolean => known.has(read)
