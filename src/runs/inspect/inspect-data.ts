// A look at labelled data before a run: lengths, copies, shares of labels, near copies with different labels, and what training and
// validation share. Independent of the task; runs no model.
import { z } from 'zod'
import { loadTokenizer, resolveModel } from '../../checkpoint/index.ts'
import { parseConfig, sha256 } from '../../core/index.ts'
import {
  anyTaskSettings,
  findTask,
  type ReadReport,
  type RecordStatistics,
  type TaskDefinition,
  type TaskRecord,
  taskConfig,
  taskTypeSchema,
} from '../../tasks/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { describePlace, recordParts } from '../examples/run-data.ts'
import { streamRecords } from '../examples/survey-records.ts'
import { doubtfulLabels } from '../finetune/several-sets.ts'
import { useModules } from '../use-modules.ts'
import { NearCopies } from './near-copies.ts'

/** Settings of `inspectData`. */
export const inspectDataSchema = z.strictObject({
  task: taskTypeSchema.describe('task that the data is for'),
  dataset: z.string().optional().describe('known data set of the task, whose columns need not be named'),
  settings: anyTaskSettings.prefault({}).describe('settings of the task: columns, labels …'),
  validation: z.string().optional().describe('file or folder with validation data, to compare with the training data'),
  tokenizer: z
    .string()
    .optional()
    .describe('folder, run or Hub id of the tokenizer or model that lengths are counted with (default: words)'),
  maxLength: z.int().positive().default(512).describe('length from which texts are counted as too long'),
  similarity: z
    .number()
    .gt(0)
    .max(1)
    .default(0.8)
    .describe('least share of common word pairs (Jaccard) of near copies'),
  nearRecords: z
    .int()
    .nonnegative()
    .default(100_000)
    .describe('records that are compared for near copies, the first ones; their texts are kept in memory'),
  examples: z.int().nonnegative().default(5).describe('examples of each finding'),
  use: z
    .union([z.string(), z.array(z.string())])
    .optional()
    .describe('modules that register the task'),
})
/** Settings of `inspectData`, as given. */
export type InspectDataInput = z.input<typeof inspectDataSchema>

/** Lengths of texts, or of whole examples. */
export interface Lengths {
  unit: 'tokens' | 'words'
  /** What is measured: the text of a record, or prompt and answer together as a decoder is trained on them. */
  of: 'text' | 'example'
  mean: number
  min: number
  median: number
  p95: number
  p99: number
  max: number
  /** Those longer than `maxLength`. */
  tooLong: number
  /**
   * How many there are of each length, in ranges of equal width; the last one has the longest hundredth. `to` is the first length of the
   * next range.
   */
  histogram: { from: number; to: number; count: number }[]
}

/** Two records that should not be as they are. */
export interface RecordPair {
  /** `reviews.csv:18` */
  first: string
  second: string
  /** The beginning of the text of the second. */
  text: string
  /** Their reference answers. */
  answers: [string, string]
}

/** Pairs of records: how many, and the first of them. */
export interface Finding {
  count: number
  examples: RecordPair[]
}

/** What one file or folder has. */
export interface InspectedPart {
  path: string
  report: ReadReport
  lengths: Lengths
  /** Labels by frequency; empty for tasks without labels. */
  labels: { label: string; count: number; share: number }[]
  /** Records whose text is that of an earlier one, with the same answer. */
  copies: Finding
  /** Records whose text is that of an earlier one, with another answer. */
  contradictions: Finding
  /** Records that are nearly an earlier one, with another answer. */
  nearContradictions: Finding
  /** Records that are nearly an earlier one, with the same answer. */
  nearCopies: Finding
}

/** What training and validation share. */
export interface Overlap {
  /** Validation records whose text is in the training data. */
  texts: Finding
  /** Validation records that are nearly a training record. */
  near: Finding
  /** Labels of one part that the other lacks. */
  onlyInTraining: string[]
  onlyInValidation: string[]
}

/** Everything that `inspectData` found. */
export interface DataInspection {
  task: string
  train: InspectedPart
  validation?: InspectedPart
  overlap?: Overlap
  /** Labels of both parts that may be mistakes, such as two that differ only in case; a sentence each. */
  labelNotes: string[]
  /** The first training example, for tasks that generate text, where a tokenizer is given. */
  example?: {
    /** `chats.jsonl:1` */
    place: string
    /** The conversation through the chat template; ⟦ and ⟧ enclose the tokens that the loss includes. */
    text: string
    tokens: number
    trainedTokens: number
  }
  /** Records that were compared for near copies. */
  nearRecords: number
  similarity: number
}

/** All texts in a value, one after the other. */
const textsIn = (value: unknown): string[] => {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(textsIn)
}

/** The input of a record as one text, and its reference answer. */
const partsOf = (record: TaskRecord, answerFields: readonly string[]): { text: string; answer: string } => {
  const { inputs, answer } = recordParts(record, answerFields)
  return { text: textsIn(Object.fromEntries(inputs)).join('\n'), answer }
}

interface Seen {
  place: string
  answer: string
}

type Settings = z.output<typeof inspectDataSchema>

/** Texts that were seen, by the hash of their content, and near ones. */
interface Index {
  exact: Map<string, Seen>
  near: NearCopies<Seen>
}

/** Ranges of a histogram, without the last. */
const ranges = 24

const histogramOf = (sorted: Float64Array, p99: number): Lengths['histogram'] => {
  const [low, high] = [sorted[0], sorted[sorted.length - 1]]
  const width = Math.max(1, Math.ceil((p99 + 1 - low) / ranges))
  const bins: Lengths['histogram'] = []
  for (let from = low; from <= p99; from += width) bins.push({ from, to: from + width, count: 0 })
  const end = bins[bins.length - 1].to
  if (high >= end) bins.push({ from: end, to: high + 1, count: 0 })
  for (const length of sorted) bins[Math.min(bins.length - 1, Math.floor((length - low) / width))].count++
  return bins
}

const lengthsOf = (all: number[], { unit, of }: Pick<Lengths, 'unit' | 'of'>, maxLength: number): Lengths => {
  const sorted = Float64Array.from(all).sort()
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  return {
    unit,
    of,
    mean: sorted.reduce((sum, length) => sum + length, 0) / sorted.length,
    min: sorted[0],
    median: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
    max: sorted[sorted.length - 1],
    tooLong: sorted.length - sorted.findLastIndex((length) => length <= maxLength) - 1,
    histogram: sorted.length === 0 ? [] : histogramOf(sorted, at(0.99)),
  }
}

const labelsOf = (task: TaskDefinition, statistics: RecordStatistics): InspectedPart['labels'] => {
  const counts = [...(task.labelCounts?.(statistics) ?? [])].sort(([, a], [, b]) => b - a)
  const whole = counts.reduce((sum, [, count]) => sum + count, 0)
  return counts.map(([label, count]) => ({ label, count, share: count / whole }))
}

/** Called while `inspectData` works. */
export interface InspectionHooks {
  /** Records looked at so far, of both parts. */
  onProgress?(records: number): void
}

/** Records between two calls of `onProgress`. */
const progressStep = 1000

/** Reads one part. `others` has the texts of the training data, where this is the validation data. */
const inspectPart = async (
  path: string,
  task: TaskDefinition,
  config: object,
  { settings, measure, onRecord, others }: Measured & { others?: Index },
): Promise<{ part: InspectedPart; index: Index; shared: { texts: Finding; near: Finding } }> => {
  const { examples, similarity, nearRecords, maxLength } = settings
  const none = (): Finding => ({ count: 0, examples: [] })
  const [copies, contradictions, nearCopies, nearContradictions] = [none(), none(), none(), none()]
  const shared = { texts: none(), near: none() }
  const count = (finding: Finding, first: Seen, second: Seen, text: string): void => {
    finding.count++
    if (finding.examples.length >= examples) return
    const short = text.replace(/\s+/g, ' ').slice(0, 120)
    const answers: RecordPair['answers'] = [first.answer, second.answer]
    finding.examples.push({ first: first.place, second: second.place, text: short, answers })
  }
  const index: Index = { exact: new Map(), near: new NearCopies(similarity, nearRecords) }
  const statistics = task.statistics.empty()
  const lengths: number[] = []
  const report = await streamRecords(task, path, config, (record) => {
    task.statistics.add(statistics, record)
    const { text, answer } = partsOf(record, task.answerFields ?? [])
    const seen: Seen = { place: describePlace(record), answer }
    onRecord()
    lengths.push(measure.lengthOf(record, text))
    const hash = sha256(text)
    const sameText = others?.exact.get(hash)
    if (sameText !== undefined) count(shared.texts, sameText, seen, text)
    else {
      const near = others?.near.find(text)
      if (near !== undefined) count(shared.near, near, seen, text)
    }
    const before = index.exact.get(hash)
    if (before !== undefined) count(before.answer === answer ? copies : contradictions, before, seen, text)
    else {
      index.exact.set(hash, seen)
      const near = index.near.add(text, seen)
      if (near !== undefined) count(near.answer === answer ? nearCopies : nearContradictions, near, seen, text)
    }
  })
  return {
    part: {
      path,
      report,
      lengths: lengthsOf(lengths, measure, maxLength),
      labels: labelsOf(task, statistics),
      copies,
      contradictions,
      nearContradictions,
      nearCopies,
    },
    index,
    shared,
  }
}

interface Measured {
  settings: Settings
  onRecord(): void
  measure: Measure
}

/** How long records are. @param text their input as one text */
interface Measure extends Pick<Lengths, 'unit' | 'of'> {
  lengthOf(record: TaskRecord, text: string): number
}

/** The task as a decoder learns it; undefined for tasks that generate no text. */
const preparedFor = (task: TaskDefinition, config: object, tokenizer: Tokenizer, maxLength: number) =>
  task.head.includes('causal-lm')
    ? task.prepare(tokenizer, config, { maxLength, headOptions: {}, facts: { causal: true, maxPositions: undefined } })
    : undefined

const measureOf = (task: TaskDefinition, config: object, tokenizer: Tokenizer | undefined): Measure => {
  if (tokenizer === undefined)
    return { unit: 'words', of: 'text', lengthOf: (_, text) => text.match(/\S+/g)?.length ?? 0 }
  // Without a limit, as the length of what a run would truncate is asked for.
  const prepared = preparedFor(task, config, tokenizer, Number.MAX_SAFE_INTEGER)
  if (prepared === undefined)
    return { unit: 'tokens', of: 'text', lengthOf: (_, text) => tokenizer.encodeIds(text).length }
  return {
    unit: 'tokens',
    of: 'example',
    lengthOf: (record) => prepared.encode(record).reduce((sum, example) => sum + prepared.criterion.tokens(example), 0),
  }
}

/** The first record of a part as a decoder is trained on it; undefined for tasks that generate no text. */
const trainedExample = async (
  { data, task, config, maxLength }: { data: string; task: TaskDefinition; config: object; maxLength: number },
  tokenizer: Tokenizer,
): Promise<DataInspection['example']> => {
  const prepared = preparedFor(task, config, tokenizer, maxLength)
  if (prepared === undefined) return undefined
  const { records } = await task.read(data, { ...config, limit: 1 })
  const [record] = records
  const [example] = prepared.encode(record)
  if (example === undefined) return undefined
  const decode = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: false })
  return {
    place: describePlace(record),
    text: prepared.criterion.describe(example, decode),
    tokens: prepared.criterion.tokens(example),
    trainedTokens: prepared.criterion.trainedTokens?.(example) ?? 0,
  }
}

/**
 * Looks at labelled data without a model.
 * @param data file or folder with training data
 * @throws DataError with file and line for records that cannot be read
 */
export const inspectData = async (
  data: string,
  input: InspectDataInput,
  { onProgress }: InspectionHooks = {},
): Promise<DataInspection> => {
  await useModules(input.use)
  const settings = parseConfig(inspectDataSchema, input, 'inspect')
  const { task: type, dataset, validation: path, similarity, nearRecords } = settings
  const task = findTask(type)
  const config = taskConfig(task, settings.settings, dataset)
  let records = 0
  const onRecord = () => {
    records++
    if (records % progressStep === 0) onProgress?.(records)
  }
  const tokenizer =
    settings.tokenizer === undefined ? undefined : await loadTokenizer(await resolveModel(settings.tokenizer))
  const measured = { settings, onRecord, measure: measureOf(task, config, tokenizer) }
  const { part: train, index } = await inspectPart(data, task, config, measured)
  const { maxLength } = settings
  const example = tokenizer && (await trainedExample({ data, task, config, maxLength }, tokenizer))
  const names = ({ labels }: InspectedPart) => labels.map(({ label }) => label)
  const common = {
    task: type,
    train,
    labelNotes: doubtfulLabels(names(train)),
    ...(example === undefined ? {} : { example }),
    nearRecords: Math.min(nearRecords, train.report.records),
    similarity,
  }
  if (path === undefined) return common
  const { part: validation, shared } = await inspectPart(path, task, config, { ...measured, others: index })
  const lacking = (some: InspectedPart, others: InspectedPart) =>
    names(some).filter((label) => !names(others).includes(label))
  return {
    ...common,
    validation,
    labelNotes: doubtfulLabels([...new Set([...names(train), ...names(validation)])]),
    overlap: { ...shared, onlyInTraining: lacking(train, validation), onlyInValidation: lacking(validation, train) },
  }
}
