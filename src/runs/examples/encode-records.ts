// Records to examples, in batches of a fixed size, and what is counted on the way. In one thread or in several, the results are the same.
import { setImmediate } from 'node:timers/promises'
import type { PreparedTask, Skipped, TargetSums, TaskExample, TaskRecord } from '../../tasks/index.ts'
import { addSums, addTargets, noTargets } from '../../tasks/index.ts'
import type { ExampleList, RecordPlace } from '../engine/data-splits.ts'

/** Records per batch: part of the results, since sums of numbers are rounded batch by batch. */
export const batchRecords = 1000

/** Counts of encoded records. */
export interface EncodingTally {
  records: number
  /** Examples that were truncated. */
  truncated: number
  /** Records that the task skipped, by reason. */
  skipped: { [reason: string]: Skipped }
  /** Sums of the targets; undefined for tasks without targets by row. */
  targets: TargetSums | undefined
}

/** The examples of a batch of records. */
interface EncodedBatch {
  examples: TaskExample[]
  /** Number of each example's record in the batch. */
  sources: number[]
  tally: EncodingTally
}

/** Encoded training records. */
export interface EncodedSet {
  examples: ExampleList<TaskExample>
  /** Where the record of an example was read from. */
  placeOf(index: number): RecordPlace
  tally: EncodingTally
  notes: string[]
  close(): void
}

export const noRecords = (): EncodingTally => ({ records: 0, truncated: 0, skipped: {}, targets: undefined })

/** Adds the counts of a batch that came after the others. */
export const addTally = (total: EncodingTally, { records, truncated, skipped, targets }: EncodingTally): void => {
  total.records += records
  total.truncated += truncated
  for (const [reason, { count, first }] of Object.entries(skipped)) {
    const known = total.skipped[reason]
    if (known === undefined) total.skipped[reason] = { count, first }
    else known.count += count
  }
  if (targets === undefined) return
  if (total.targets === undefined) total.targets = targets
  else addSums(total.targets, targets)
}

/** What a task skipped since `before`. The first of a reason is right where the reason is new. */
const skippedSince = (before: { [reason: string]: number }, now: PreparedTask['skipped']): EncodingTally['skipped'] =>
  Object.fromEntries(
    Object.entries(now ?? {}).flatMap(([reason, { count, first }]) =>
      count === (before[reason] ?? 0) ? [] : [[reason, { count: count - (before[reason] ?? 0), first }]],
    ),
  )

/** A function that encodes batches of records, in any order. */
export const createBatchEncoder =
  (prepared: PreparedTask) =>
  (records: readonly TaskRecord[]): EncodedBatch => {
    const rows = prepared.generation === undefined ? prepared.rows : undefined
    const targets = rows && noTargets(rows)
    const before = Object.fromEntries(
      Object.entries(prepared.skipped ?? {}).map(([reason, { count }]) => [reason, count]),
    )
    const examples: TaskExample[] = []
    const sources: number[] = []
    let truncated = 0
    for (const [i, record] of records.entries())
      for (const example of prepared.encode(record)) {
        examples.push(example)
        sources.push(i)
        if (example.truncatedTokens > 0) truncated++
        if (rows !== undefined && targets !== undefined) addTargets(rows, targets, example)
      }
    const skipped = skippedSince(before, prepared.skipped)
    return { examples, sources, tally: { records: records.length, truncated, skipped, targets } }
  }

/** Encodes records into memory, letting others work between two batches. */
export const encodeInMemory = async (
  records: readonly TaskRecord[],
  prepared: PreparedTask,
  signal?: AbortSignal,
): Promise<EncodedSet> => {
  const encode = createBatchEncoder(prepared)
  const examples: TaskExample[] = []
  const places: TaskRecord[] = []
  const tally = noRecords()
  for (let from = 0; from < records.length; from += batchRecords) {
    await setImmediate()
    signal?.throwIfAborted()
    const part = encode(records.slice(from, from + batchRecords))
    for (const example of part.examples) examples.push(example)
    for (const source of part.sources) places.push(records[from + source])
    addTally(tally, part.tally)
  }
  return { examples, placeOf: (index) => places[index], tally, notes: [], close() {} }
}
