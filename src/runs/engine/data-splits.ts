// The examples of a run in their order, and its records for training and validation. Independent of what is learned.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError, permutedIndex, sha256, sha256File } from '../../core/index.ts'
import type { ReadReport, Skipped, TaskData, TaskExample, TaskRecord } from '../../tasks/index.ts'
import type { ExampleSource } from '../../training/index.ts'

/** Where a record was read from. */
export type RecordPlace = Pick<TaskRecord, 'file' | 'line'>

/** `reviews.csv:18` */
export const describePlace = ({ file, line }: RecordPlace): string => (line === undefined ? file : `${file}:${line}`)

/**
 * The examples, shuffled anew in every epoch: a pure function of (seed, position).
 * @param placeOf the record of the example with a number, for messages
 * @throws DataError without examples
 */
export const shuffledExamples = <Example extends Pick<TaskExample, 'truncatedTokens'>>(
  examples: readonly Example[],
  seed: number,
  placeOf?: (index: number) => RecordPlace,
): ExampleSource<Example> => {
  const { length } = examples
  if (length === 0) throw new DataError('Expected at least one example to train on, got none. Check the data.')
  const indexAt = (position: number) =>
    permutedIndex(`${seed}/${Math.floor(position / length)}`, length, position % length)
  return {
    perEpoch: length,
    example(position) {
      const example = examples[indexAt(position)]
      return { example, cut: example.truncatedTokens }
    },
    place(position) {
      const place = placeOf?.(indexAt(position))
      return place === undefined ? undefined : describePlace(place)
    },
  }
}

/** The hash of a record's content, wherever the record is. */
const hashOf = (record: TaskRecord): string => {
  const { id: _, file: __, line: ___, group: ____, ...content } = record
  return sha256(JSON.stringify(content))
}

/** SHA-256 of ids, inputs and labels, whatever the files are called. */
export const hashOfRecords = (records: readonly TaskRecord[]): string =>
  sha256(records.map(({ file: _, line: __, ...content }) => JSON.stringify(content)).join('\n'))

/** How many validation records are training records too, labels included. */
const countShared = (train: readonly TaskRecord[], validation: readonly TaskRecord[]): number => {
  const hashes = new Set(train.map(hashOf))
  return validation.filter((record) => hashes.has(hashOf(record))).length
}

/**
 * Splits records by the hash of their content, so that copies fall into the same part and their order does not matter; records of a
 * group by that of the group.
 * @throws DataError when a part is empty
 */
export const splitRecords = <Record extends TaskRecord>(
  records: readonly Record[],
  share: number,
): { train: Record[]; validation: Record[] } => {
  const train: Record[] = []
  const validation: Record[] = []
  for (const record of records) {
    const key = record.group === undefined ? hashOf(record) : sha256(record.group)
    const hash = Number.parseInt(key.slice(0, 8), 16) / 2 ** 32
    ;(hash < share ? validation : train).push(record)
  }
  if (validation.length === 0 || train.length === 0)
    throw new DataError(
      `Expected records to train and to validate on, got ${train.length} and ${validation.length} of ${records.length}. Give more data, or a file for \`validation\`.`,
    )
  return { train, validation }
}

/** One line for each reason for which records were skipped. */
export const describeSkipped = (skipped: { readonly [reason: string]: Skipped } = {}): string[] =>
  Object.entries(skipped).map(
    ([reason, { count, first }]) => `Skipped ${count} record${count === 1 ? '' : 's'}: ${reason}; the first: ${first}`,
  )

/** Columns of the data that no setting reads. */
const describeUnread = ({ unreadColumns = [] }: ReadReport): string[] =>
  unreadColumns.length === 0
    ? []
    : [
        `Columns that no setting reads: ${unreadColumns.slice(0, 20).join(', ')}${unreadColumns.length > 20 ? ', …' : ''}.`,
      ]

const describeOverlap = (train: readonly TaskRecord[], validation: readonly TaskRecord[]): string[] => {
  const count = countShared(train, validation)
  if (count === 0) return []
  return [
    `${count} of ${validation.length} validation records are in the training data too: their scores do not show how the model does on new texts.`,
  ]
}

/** The records of a run. */
export interface SplitRecords<Record extends TaskRecord> {
  train: Record[]
  validation: Record[]
  notes: string[]
  /** Files that records were read from. */
  files: string[]
}

/** Reads the records to train and to validate on: two files, or shares of one. @throws DataError with file and line */
export const readSplits = async <Record extends TaskRecord>(
  { data, validation: path, validationShare }: { data: string; validation?: string; validationShare: number },
  read: (path: string) => Promise<TaskData<Record>>,
): Promise<SplitRecords<Record>> => {
  const { records: all, report } = await read(data)
  const notes = [...describeUnread(report), ...describeSkipped(report.skipped)]
  if (path === undefined) return { ...splitRecords(all, validationShare), notes, files: report.files }
  const validation = await read(path)
  return {
    train: all,
    validation: validation.records,
    notes: [...notes, ...describeSkipped(validation.report.skipped), ...describeOverlap(all, validation.records)],
    files: [...report.files, ...validation.report.files],
  }
}

/** SHA-256 of the records' files and of the base. A folder with a file for each text has no hash. */
export const hashesOf = async (
  files: readonly string[],
  base: string,
  start?: string,
): Promise<Record<string, string>> => {
  const hashes: Record<string, string> = {}
  const adapter = start === undefined ? [] : [join(start, 'adapter_model.safetensors')]
  for (const path of [...files, join(base, 'model.safetensors'), base, ...adapter])
    if ((await stat(path).catch(() => undefined))?.isFile()) hashes[path] = await sha256File(path)
  return hashes
}
