// The records of a run and its examples: parts for training and validation, the encoding of records in batches, and the order of the examples of
// one data set or of several. An order is a pure function of seed and position, so that a resumed run continues without replaying it. Independent of
// what is learned.

import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { adapterWeightFiles } from '../../adapters/index.ts'
import { resolveData, resolveModel } from '../../checkpoint/index.ts'
import { ConfigError, DataError, permutedIndex, sha256, sha256File } from '../../core/index.ts'
import { mixtureOrder } from '../../data/index.ts'
import type { ReadReport, Skipped, TaskData, TaskExample, TaskRecord } from '../../tasks/index.ts'
import { addSums, addTargets, noTargets, type PreparedTask, type TargetSums } from '../../tasks/index.ts'
import type { ExampleSource } from '../../training/index.ts'
import type { DataSet } from '../engine/data-sets.ts'

export type RecordPlace = Pick<TaskRecord, 'file' | 'line'>

/** `reviews.csv:18` */
export const describePlace = ({ file, line }: RecordPlace): string => (line === undefined ? file : `${file}:${line}`)

interface ExampleList<Example> {
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
export const describeUnread = ({ unreadColumns = [] }: ReadReport): string[] => {
  if (unreadColumns.length === 0) return []
  const more = unreadColumns.length > 20 ? ', …' : ''
  return [`Columns that no setting reads: ${unreadColumns.slice(0, 20).join(', ')}${more}.`]
}

/** @param shared validation records that are training records too */
export const describeOverlap = (shared: number, validation: number): string[] => {
  if (shared === 0) return []
  return [
    `${shared} of ${validation} validation records are in the training data too: their scores do not show how the model does on new texts.`,
  ]
}

export interface SplitRecords<Record extends TaskRecord> {
  train: Record[]
  validation: Record[]
  notes: string[]
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

const shown = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value))

/**
 * A record as people read it: the fields of its input, and its reference answer, empty where it is not known.
 * @param answerFields fields with the reference answer; all others are the input
 */
export const recordParts = (
  record: TaskRecord,
  answerFields: readonly string[],
): { inputs: [name: string, value: unknown][]; answer: string } => {
  const { id: _, file: __, line: ___, group: ____, ...content } = record
  const fields: [string, unknown][] = Object.entries(content)
  const answers = fields.filter(([name, value]) => answerFields.includes(name) && value !== undefined)
  return {
    inputs: fields.filter(([name]) => !answerFields.includes(name)),
    answer: answers.map(([, value]) => (Array.isArray(value) ? value : [value]).map(shown).join(', ')).join('; '),
  }
}

export interface MixedSet<Example> extends Pick<DataSet, 'name' | 'weight' | 'maxExamples' | 'maxEpochs'> {
  examples: ExampleList<Example>
  placeOf(index: number): RecordPlace
}

export interface MixedExamples<Example> {
  source: ExampleSource<Example>
  /** Examples of each set in an epoch, on average. */
  examples: number[]
  /** Epochs of the mixture that the limits of the sets allow; Infinity if a set has none. */
  most: number
  notes: string[]
}

type Truncated = Pick<TaskExample, 'truncatedTokens'>

/** As many examples as a set may have, chosen by the seed. @throws ConfigError for a limit that it does not reach */
const capped = <Example>(set: MixedSet<Example>, seed: number): MixedSet<Example> => {
  const { name, maxExamples, examples, placeOf } = set
  const { length } = examples
  if (maxExamples === undefined || maxExamples === length) return set
  if (maxExamples > length)
    throw new ConfigError(
      `Expected at most ${length} for \`maxExamples\` of the data set ${name}, which has as many examples, got ${maxExamples}. Remove it.`,
    )
  const at = (index: number) => permutedIndex(`${seed}/choice/${name}`, length, index)
  return {
    ...set,
    examples: { length: maxExamples, at: (index) => examples.at(at(index)) },
    placeOf: (index) => placeOf(at(index)),
  }
}

const joined = <Example>(sets: readonly MixedSet<Example>[]): Pick<MixedSet<Example>, 'examples' | 'placeOf'> => {
  const ends: number[] = []
  for (const { examples } of sets) ends.push((ends.at(-1) ?? 0) + examples.length)
  const find = (index: number): [MixedSet<Example>, number] => {
    const part = ends.findIndex((end) => index < end)
    return [sets[part], index - (ends[part - 1] ?? 0)]
  }
  return {
    examples: {
      length: ends.at(-1) ?? 0,
      at(index) {
        const [{ examples }, own] = find(index)
        return examples.at(own)
      },
    },
    placeOf(index) {
      const [{ placeOf }, own] = find(index)
      return placeOf(own)
    },
  }
}

const percent = (share: number): string => `${Number((100 * share).toPrecision(3))} %`

export interface MixedSource<Example> {
  name: string
  source: Pick<ExampleSource<Example>, 'perEpoch' | 'example' | 'place'>
  /** Relative share (default: by size). */
  weight?: number | undefined
  maxEpochs?: number | undefined
}

/**
 * Mixes sources in the shares of their weights, each from its first example on: a position of the mixture is a position of one of them.
 * Sources without weights have shares by size, to the power of 1/temperature.
 */
export const mixSources = <Example>(
  sources: readonly MixedSource<Example>[],
  { seed, temperature = 1 }: { seed: number; temperature?: number | undefined },
): MixedExamples<Example> => {
  const weights = sources.map(({ weight, source }) => weight ?? source.perEpoch ** (1 / temperature))
  const perEpoch = sources.reduce((sum, { source }) => sum + source.perEpoch, 0)
  const whole = weights.reduce((sum, weight) => sum + weight, 0)
  const parts = sources.map(({ source, maxEpochs }, i) => ({
    rowsPerEpoch: source.perEpoch,
    weight: weights[i],
    ...(maxEpochs === undefined ? {} : { maxEpochs }),
  }))
  // An epoch of few examples has the shares too, unless they are too small for that.
  const smallest = Math.min(...weights) / whole
  const block = Math.max(perEpoch, Math.ceil(1 / smallest))
  const order = mixtureOrder(parts, { seed: `${seed}/mixture`, block })
  const find = (position: number) => order.at(Number.isFinite(order.available) ? position % order.available : position)
  const examples = weights.map((weight) => (weight / whole) * perEpoch)
  const shares = sources.map(
    ({ name, maxEpochs, source }, i) =>
      `${percent(weights[i] / whole)} ${name} (each example ${Number((examples[i] / source.perEpoch).toPrecision(3))} times${maxEpochs === undefined ? '' : `, at most ${maxEpochs} in the run`})`,
  )
  return {
    examples,
    most: order.available / perEpoch,
    notes: [`An epoch is ${perEpoch} examples: ${shares.join(', ')}.`],
    source: {
      perEpoch,
      example(position) {
        const { part, row } = find(position)
        return sources[part].source.example(row)
      },
      place(position) {
        const { part, row } = find(position)
        return sources[part].source.place?.(row)
      },
      ...(Number.isFinite(order.available) ? { batchEnd: () => order.available } : {}),
    },
  }
}

/**
 * Mixes the examples of data sets. Without weights they are one set, and each example comes once in an epoch; with weights an epoch is as
 * many examples, in their shares, each set shuffled anew whenever it was seen whole.
 * @throws DataError without examples, ConfigError for limits that do not fit the sizes of the sets
 */
export const mixExamples = <Example extends Truncated>(
  declared: readonly MixedSet<Example>[],
  { seed, temperature }: { seed: number; temperature?: number | undefined },
): MixedExamples<Example> => {
  const sets = declared.map((set) => capped(set, seed))
  const isMixed = temperature !== undefined || sets.some((set) => (set.weight ?? set.maxEpochs) !== undefined)
  if (!isMixed) {
    const { examples, placeOf } = sets.length === 1 ? sets[0] : joined(sets)
    const source = shuffledExamples(examples, seed, placeOf)
    return { source, examples: sets.map((set) => set.examples.length), most: Number.POSITIVE_INFINITY, notes: [] }
  }
  const sources = sets.map(
    ({ examples, placeOf, ...set }): MixedSource<Example> => ({
      ...set,
      source: shuffledExamples(examples, `${seed}/${set.name}`, placeOf),
    }),
  )
  return mixSources(sources, { seed, temperature })
}

/** Records per batch: part of the results, since sums of numbers are rounded batch by batch. */
export const batchRecords = 1000

export interface EncodingTally {
  records: number
  /** Examples that were truncated. */
  truncated: number
  /** Records that the task skipped, by reason. */
  skipped: { [reason: string]: Skipped }
  /** Sums of the targets; undefined for tasks without targets by row. */
  targets: TargetSums | undefined
}

export interface EncodedSet {
  examples: ExampleList<TaskExample>
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

/** A function that encodes batches of records, in any order. `sources` has the number of each example's record in the batch. */
export const createBatchEncoder =
  (prepared: PreparedTask) =>
  (records: readonly TaskRecord[]): { examples: TaskExample[]; sources: number[]; tally: EncodingTally } => {
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
