// Reads what a fine-tuning run starts from: task, tokenizer, and the records to train and to validate on. Independent of task and variant.
import { loadTokenizer, type ModelTokenizer, resolveModel } from '../../checkpoint/index.ts'
import type { HeadOptions, HeadType } from '../../models/index.ts'
import {
  type PreparedTask,
  type PrepareOptions,
  type RecordStatistics,
  statisticsOf,
  type TaskDefinition,
  type TaskRecord,
} from '../../tasks/index.ts'
import {
  describeOverlap,
  describeShare,
  describeSkipped,
  describeTaken,
  describeUnread,
  readSplits,
  takeShare,
} from '../engine/data-splits.ts'
import { isSplit, splitByLabel } from '../engine/folds.ts'
import type { BuildContext } from '../engine/run-kind.ts'
import { type EncodedSet, encodeInMemory } from '../examples/encode-records.ts'
import { isCached, openLargeData } from '../examples/large-data.ts'
import { labelNotes } from './label-notes.ts'
import { type FinetuneRecipe, taskOf } from './recipe.ts'

/** The data of a fine-tuning run. */
export interface FinetuneData {
  task: TaskDefinition
  config: object
  /** Folder or file of the base. */
  base: string
  head: HeadType | readonly HeadType[]
  tokenizer: ModelTokenizer
  records: { validation: TaskRecord[] }
  /** Statistics of the training records. */
  trained: RecordStatistics
  /** Files that records were read from. */
  files: readonly string[]
  /** SHA-256 of files, where it is known. */
  hashes: { readonly [file: string]: string }
  headOptions: Partial<HeadOptions>
  notes: string[]
}

/** Data whose training records are in memory. */
export interface InMemoryData extends FinetuneData {
  records: { train: TaskRecord[]; validation: TaskRecord[] }
}

/** What the encoding of training records depends on, besides the task. */
type EncodeOptions = Pick<PrepareOptions, 'maxLength' | 'headOptions' | 'facts'>

/** Data whose training records are encoded when the model is known. */
export interface TrainingData extends FinetuneData {
  encode(prepared: PreparedTask, options: EncodeOptions): Promise<EncodedSet>
}

/** Head options of all records, and notes about the labels. The training records alone must have what a task needs, such as two classes. */
const learnable = (
  task: TaskDefinition,
  config: object,
  trained: RecordStatistics,
  all: RecordStatistics,
): { headOptions: Partial<HeadOptions>; notes: string[] } => {
  const { labels = [] } = task.headOptions(trained, config)
  const headOptions = task.headOptions(all, config)
  const unseen = (headOptions.labels ?? []).filter((label) => !labels.includes(label))
  const notes = labelNotes(task.labelCounts?.(trained) ?? new Map())
  if (unseen.length > 0)
    notes.push(
      `Validation records have labels that no training record has: ${unseen.slice(0, 20).join(', ')}${unseen.length > 20 ? ', …' : ''}. Check that both files spell them alike.`,
    )
  return { headOptions, notes }
}

const openParts = async (recipe: FinetuneRecipe) => {
  const { task, config } = taskOf(recipe)
  const base = await resolveModel(recipe.base)
  const tokenizer = await loadTokenizer(recipe.tokenizer ?? base)
  return { task, config, base, head: task.head, tokenizer }
}

/** The labels of a record as one text: what a split gives both parts equal shares of. One and the same for tasks without labels. */
export const stratumOf =
  ({ labelCounts, ...task }: TaskDefinition) =>
  (record: TaskRecord): string =>
    [...(labelCounts?.(statisticsOf(task, [record])).keys() ?? [])].sort().join('\0')

/** Reads all records into memory. */
export const readFinetuneData = async (recipe: FinetuneRecipe): Promise<InMemoryData> => {
  const parts = await openParts(recipe)
  const { task, config } = parts
  const { split, validationShare, share } = recipe
  const { notes, files, ...both } = await readSplits(
    recipe,
    (path) => task.read(path, config),
    isSplit(split) ? (all) => splitByLabel(all, split, validationShare, stratumOf(task)) : undefined,
  )
  const { train, notes: taken } = takeShare(both.train, share)
  const records = { train, validation: both.validation }
  const trained = statisticsOf(task, records.train)
  const all = statisticsOf(task, [...records.train, ...records.validation])
  const { headOptions, notes: more } = learnable(task, config, trained, all)
  return { ...parts, records, trained, files, hashes: {}, headOptions, notes: [...notes, ...taken, ...more] }
}

/** Reads the records: small data into memory, large data in another thread that encodes them into the cache. */
export const openTrainingData = async (recipe: FinetuneRecipe, context: BuildContext): Promise<TrainingData> => {
  const {
    data: path,
    validation: validationPath,
    validationShare,
    share,
    task: type,
    use,
    exampleCache,
    workers,
  } = recipe
  const settings = {
    data: path,
    validation: validationPath,
    validationShare,
    share,
    task: type,
    use,
    exampleCache,
    workers,
  }
  if (isSplit(recipe.split) || !(await isCached(settings))) {
    const data = await readFinetuneData(recipe)
    const { train, validation } = data.records
    // Only the function below keeps the training records.
    return { ...data, records: { validation }, encode: (prepared) => encodeInMemory(train, prepared, context.signal) }
  }
  const parts = await openParts(recipe)
  const { survey, validation, notes, encode } = await openLargeData(settings, parts.config, context)
  const { trained, all, available, report, validationReport, shared, hashes } = survey
  const { headOptions, notes: more } = learnable(parts.task, parts.config, trained, all)
  return {
    ...parts,
    records: { validation },
    trained,
    files: [...report.files, ...(validationReport?.files ?? [])],
    hashes,
    headOptions,
    notes: [
      ...notes,
      ...describeUnread(report),
      ...describeSkipped(report.skipped),
      ...describeSkipped(validationReport?.skipped),
      ...(validationPath === undefined ? describeShare(available, validation.length, validationShare) : []),
      ...describeOverlap(shared ?? 0, validation.length),
      ...describeTaken(trained.records, available, share),
      ...more,
    ],
    encode: (_, options) => encode({ tokenizer: recipe.tokenizer ?? parts.base, options }),
  }
}
