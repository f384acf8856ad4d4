// Where the records of a file go, into a list or one by one to a receiver; and records of any number in their order, read chunk by chunk, in
// every pass anew: from memory, or from the files of the data.
import { BatchChannel, DataError } from '../../core/index.ts'
import type { ReadOptions, TaskData, TaskRecord } from '../task.ts'
import { type FaultCounter, noRecords, type ReadReport } from './row.ts'

/** Takes records, and counts them. */
export class RecordSink<Record extends TaskRecord> {
  /** Empty where the records went to `onRecord`. */
  readonly #records: Record[] = []
  #count = 0
  readonly #onRecord: ReadOptions<Record>['onRecord']
  /** Columns that no setting reads. */
  readonly unread = new Set<string>()

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
    this.#records.push(record)
  }

  /** The records of a path, with a report. @throws DataError without a record */
  finish(path: string, files: string[], ...counters: readonly FaultCounter[]): TaskData<Record> {
    if (this.#count === 0) throw noRecords(path, ...counters)
    const skipped = Object.assign({}, ...counters.map((counter) => counter.skipped))
    const unread = this.unread.size > 0 ? { unreadColumns: [...this.unread] } : {}
    return { records: this.#records, report: { files, records: this.#count, skipped, ...unread } }
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

/** Records that are read chunk by chunk; a reader keeps none that it does not need. */
export interface RecordSource<Record extends TaskRecord = TaskRecord> {
  readonly length: number
  /** All records in chunks of `size`; the last one may be smaller. */
  chunks(size: number): AsyncIterable<readonly Record[]>
}

/** Records that are worked on at once: similar lengths among them share batches. */
export const chunkRecords = 16_384

/** Joins lists into chunks of a size. */
export async function* regrouped<Item>(
  lists: AsyncIterable<readonly Item[]> | Iterable<readonly Item[]>,
  size: number,
): AsyncGenerator<Item[], void, undefined> {
  let chunk: Item[] = []
  for await (const list of lists)
    for (const item of list) {
      chunk.push(item)
      if (chunk.length < size) continue
      yield chunk
      chunk = []
    }
  if (chunk.length > 0) yield chunk
}

/** A list as a source. */
export const recordsInMemory = <Record extends TaskRecord>(records: readonly Record[]): RecordSource<Record> => ({
  length: records.length,
  async *chunks(size) {
    for (let from = 0; from < records.length; from += size) yield records.slice(from, from + size)
  },
})

/** The first records. */
export const firstRecords = async <Record extends TaskRecord>(
  source: RecordSource<Record>,
  count: number,
): Promise<readonly Record[]> => {
  if (count <= 0) return []
  for await (const chunk of source.chunks(count)) return chunk
  return []
}

/** A source of the first records. */
export const limitedRecords = <Record extends TaskRecord>(
  source: RecordSource<Record>,
  limit = Number.POSITIVE_INFINITY,
): RecordSource<Record> => {
  const length = Math.min(source.length, limit)
  if (length === source.length) return source
  return {
    length,
    async *chunks(size) {
      let left = length
      if (left === 0) return
      for await (const chunk of source.chunks(Math.min(size, left))) {
        yield chunk.slice(0, left)
        left -= chunk.length
        if (left <= 0) return
      }
    },
  }
}

interface Reader<Config, Record extends TaskRecord> {
  read(path: string, config: Config, options?: ReadOptions<Record>): Promise<TaskData<Record>>
}

const stopped = new Error('The records that follow are not wanted.')

/** Chunks of the records that `read` hands over, which waits while they are worked on. */
async function* chunksOf<Record extends TaskRecord>(
  read: (onRecord: (record: Record) => void | Promise<void>) => Promise<unknown>,
  size: number,
): AsyncGenerator<Record[], void, undefined> {
  const channel = new BatchChannel<Record[]>(1)
  let chunk: Record[] = []
  const reading = read((record) => {
    chunk.push(record)
    if (chunk.length < size) return
    const full = chunk
    chunk = []
    return channel.put(full)
  }).then(
    async () => {
      if (chunk.length > 0) await channel.put(chunk)
      channel.end()
    },
    (error) => channel.end({ error }),
  )
  try {
    yield* channel
  } finally {
    channel.end({ error: stopped })
    await reading.catch(() => {})
  }
}

/**
 * Checks all records of a path. Up to a chunk of them stay in memory; more are read again in each pass.
 * @param keep most records to keep in memory
 * @throws DataError with file and line, as the task's `read`; in a pass, for files that have changed since
 */
export const openRecords = async <Config, Record extends TaskRecord>(
  task: Reader<Config, Record>,
  path: string,
  config: Config,
  { signal, keep = chunkRecords }: { signal?: AbortSignal | undefined; keep?: number } = {},
): Promise<{ records: RecordSource<Record>; report: ReadReport }> => {
  if (!isStreaming(task.read)) {
    const { records, report } = await task.read(path, config, { signal })
    return { records: recordsInMemory(records), report }
  }
  const kept: Record[] = []
  let length = 0
  const { records: whole, report } = await task.read(path, config, {
    signal,
    onRecord(record) {
      if (++length <= keep) kept.push(record)
      else kept.length = 0
    },
  })
  // Layouts that need all records at once return them.
  if (whole.length > 0) return { records: recordsInMemory(whole), report }
  if (length <= keep) return { records: recordsInMemory(kept), report }
  return {
    report,
    records: {
      length,
      async *chunks(size) {
        let found = 0
        for await (const chunk of chunksOf<Record>((onRecord) => task.read(path, config, { signal, onRecord }), size)) {
          found += chunk.length
          yield chunk
        }
        if (found !== length)
          throw new DataError(`Expected the ${length} records that were there before, got ${found}: run again.`, path)
      },
    },
  }
}
