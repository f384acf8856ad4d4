// The records of a run for training and validation, their parts, and its examples in their order. Independent of what is learned.
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { adapterWeightFiles } from '../../adapters/index.ts'
import { resolveData, resolveModel } from '../../checkpoint/index.ts'
import { DataError, permutedIndex, sha256, sha256File } from '../../core/index.ts'
import type { ReadReport, Skipped, TaskData, TaskExample, TaskRecord } from '../../tasks/index.ts'
import type { ExampleSource } from '../../training/index.ts'

/** Where a record was read from. */
export type RecordPlace = Pick<TaskRecord, 'file' | 'line'>

/** `reviews.csv:18` */
export const describePlace = ({ file, line }: RecordPlace): string => (line === undefined ? file : `${file}:${line}`)

/** Examples by their number, in memory or on disk. */
export interface ExampleList<Example> {
  readonly length: number
  at(index: number): Example | undefined
}

/**
 * The examples, shuffled anew in every epoch: a pure function of (seed, position).
 * @param placeOf the record of the example with a number, for messages
 * @throws DataError without examples
 */
export const shuffledExamples = <Example extends Pick<TaskExample, 'truncatedTokens'>>(
  examples: ExampleList<Example>,
  seed: number | string,
  placeOf?: (index: number) => RecordPlace,
): ExampleSource<Example> => {
  const { length } = examples
  if (length === 0) throw new DataError('Expected at least one example to train on, got none. Check the data.')
  const indexAt = (position: number) =>
    permutedIndex(`${seed}/${Math.floor(position / length)}`, length, position % length)
  return {
    perEpoch: length,
    example(position) {
      const example = examples.at(indexAt(position)) as Example
      return { example, cut: example.truncatedTokens }
    },
    place(position) {
      const place = placeOf?.(indexAt(position))
      return place === undefined ? undefined : describePlace(place)
    },
  }
}

/** The hash of a record's content, wherever the record is. */
export const contentHash = (record: TaskRecord): string => {
  const { id: _, file: __, line: ___, group: ____, ...content } = record
  return sha256(JSON.stringify(content))
}

/** How many records there are, and the SHA-256 of their content. */
export interface RecordFacts {
  count: number
  /** Of ids, inputs and labels, whatever the files are called. */
  sha256: string
}

/** Takes records one after the other for their facts. */
export class RecordHash {
  readonly #hash = createHash('sha256')
  #count = 0

  add({ file: _, line: __, ...content }: TaskRecord): void {
    if (this.#count++ > 0) this.#hash.update('\n')
    this.#hash.update(JSON.stringify(content))
  }

  /** To be called once, after the last record. */
  facts(): RecordFacts {
    return { count: this.#count, sha256: this.#hash.digest('hex') }
  }
}

/** The facts of records in memory. */
export const factsOfRecords = (records: readonly TaskRecord[]): RecordFacts => {
  const hash = new RecordHash()
  for (const record of records) hash.add(record)
  return hash.facts()
}

/** How many validation records are training records too, labels included. */
const countShared = (train: readonly TaskRecord[], validation: readonly TaskRecord[]): number => {
  const hashes = new Set(train.map(contentHash))
  return validation.filter((record) => hashes.has(contentHash(record))).length
}

/** A hash that records which stay together share: of the content of a record, or of its group. */
export const splitKey = (record: TaskRecord): string =>
  record.group === undefined ? contentHash(record) : sha256(record.group)

const isBelow = (hash: string, share: number): boolean => Number.parseInt(hash.slice(0, 8), 16) / 2 ** 32 < share

/** Whether a share of records, which is validated on, has a record: by the hash of its content, or of its group. */
export const isValidation = (record: TaskRecord, share: number): boolean => isBelow(splitKey(record), share)

/** Whether a share of the training records has a record. A larger share has it too. */
export const isInShare = (record: TaskRecord, share: number): boolean =>
  share >= 1 || isBelow(sha256(`share\0${splitKey(record)}`), share)

/** The records that a share has, and a line for people. @throws DataError when there is none */
export const takeShare = <Record extends TaskRecord>(
  train: readonly Record[],
  share: number,
): { train: Record[]; notes: string[] } => {
  if (share >= 1) return { train: [...train], notes: [] }
  const taken = train.filter((record) => isInShare(record, share))
  expectShare(taken.length, share)
  return { train: taken, notes: describeTaken(taken.length, train.length, share) }
}

/** How many training records a share is. */
export const describeTaken = (taken: number, available: number, share: number): string[] =>
  share >= 1 ? [] : [`Training on ${taken} of ${available} records (\`share\` ${share}).`]

/** @throws DataError when a share has no record */
export const expectShare = (records: number, share: number): void => {
  if (records === 0) throw new DataError(`Expected training records in the \`share\` ${share}, got none. Raise it.`)
}

/** @throws DataError when there is nothing to train or to validate on */
export const expectBothParts = (train: number, validation: number): void => {
  if (train > 0 && validation > 0) return
  const share = `${validation === 0 ? 'larger' : 'smaller'} \`validationShare\``
  throw new DataError(
    `Expected records to train and to validate on, got ${train} and ${validation} of ${train + validation}: a hash decides on each record. Give more data, a ${share}, or a file for \`validation\`.`,
  )
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
  for (const record of records) (isValidation(record, share) ? validation : train).push(record)
  expectBothParts(train.length, validation.length)
  return { train, validation }
}

/** The real share where it is far from the one asked for: a hash decides on each record, so few records scatter widely. */
export const describeShare = (train: number, validation: number, share: number): string[] => {
  const real = validation / (train + validation)
  if (Math.abs(real - share) <= 0.2 * share) return []
  const percent = (part: number) => `${Number((100 * part).toPrecision(2))} %`
  return [
    `Validating on ${validation} of ${train + validation} records, ${percent(real)} where \`validationShare\` is ${percent(share)}: a hash decides on each record. For a certain number, give a file for \`validation\`.`,
  ]
}

/** One line for each reason for which records were skipped. */
export const describeSkipped = (skipped: { readonly [reason: string]: Skipped } = {}): string[] =>
  Object.entries(skipped).map(
    ([reason, { count, first }]) => `Skipped ${count} record${count === 1 ? '' : 's'}: ${reason}; the first: ${first}`,
  )

/** Columns of the data that no setting reads. */
export const describeUnread = ({ unreadColumns = [] }: ReadReport): string[] =>
  unreadColumns.length === 0
    ? []
    : [
        `Columns that no setting reads: ${unreadColumns.slice(0, 20).join(', ')}${unreadColumns.length > 20 ? ', …' : ''}.`,
      ]

/** @param shared validation records that are training records too */
export const describeOverlap = (shared: number, validation: number): string[] => {
  if (shared === 0) return []
  return [
    `${shared} of ${validation} validation records are in the training data too: their scores do not show how the model does on new texts.`,
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

/**
 * Reads the records to train and to validate on: two files, or shares of one.
 * @param split divides the records of one file (default: by a hash of each)
 * @throws DataError with file and line
 */
export const readSplits = async <Record extends TaskRecord>(
  { data, validation: path, validationShare }: { data: string; validation?: string; validationShare: number },
  read: (path: string) => Promise<TaskData<Record>>,
  split?: (records: readonly Record[]) => { train: Record[]; validation: Record[] },
): Promise<SplitRecords<Record>> => {
  const { records: all, report } = await read(await resolveData(data))
  const notes = [...describeUnread(report), ...describeSkipped(report.skipped)]
  if (split !== undefined) return { ...split(all), notes, files: report.files }
  if (path === undefined) {
    const { train, validation } = splitRecords(all, validationShare)
    const share = describeShare(train.length, validation.length, validationShare)
    return { train, validation, notes: [...notes, ...share], files: report.files }
  }
  const validation = await read(await resolveData(path))
  return {
    train: all,
    validation: validation.records,
    notes: [
      ...notes,
      ...describeSkipped(validation.report.skipped),
      ...describeOverlap(countShared(all, validation.records), validation.records.length),
    ],
    files: [...report.files, ...validation.report.files],
  }
}

/**
 * SHA-256 of the records' files, of the base, and of the adapters that a run starts from or stands on. A folder with a file for each text has no hash.
 * @param known hashes that need not be computed again
 */
export const hashesOf = async (
  files: readonly string[],
  base: string,
  {
    start,
    stack = [],
    known = {},
  }: { start?: string | undefined; stack?: readonly string[]; known?: { readonly [file: string]: string } } = {},
): Promise<Record<string, string>> => {
  const hashes: Record<string, string> = {}
  const folders = [...stack, ...(start === undefined ? [] : [start])]
  const weights = await Promise.all(folders.map(async (one) => adapterWeightFiles(await resolveModel(one))))
  for (const path of [...files, join(base, 'model.safetensors'), base, ...weights.flat()])
    if ((await stat(path).catch(() => undefined))?.isFile()) hashes[path] = known[path] ?? (await sha256File(path))
  return hashes
}

/** The content of a record. */
interface RecordParts {
  /** Fields of the input by name, in their order. */
  inputs: [name: string, value: unknown][]
  /** The reference answer; empty where it is not known. */
  answer: string
}

const shown = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value))

/** @param answerFields fields with the reference answer; all others are the input */
export const recordParts = (record: TaskRecord, answerFields: readonly string[]): RecordParts => {
  const { id: _, file: __, line: ___, group: ____, ...content } = record
  const fields: [string, unknown][] = Object.entries(content)
  const answers = fields.filter(([name, value]) => answerFields.includes(name) && value !== undefined)
  return {
    inputs: fields.filter(([name]) => !answerFields.includes(name)),
    answer: answers.map(([, value]) => (Array.isArray(value) ? value : [value]).map(shown).join(', ')).join('; '),
  }
}
