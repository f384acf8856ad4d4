// Reads what a fine-tuning run starts from: task, tokenizer, and the records to train and to validate on. Independent of task and variant.
import { loadTokenizer, type ModelTokenizer } from '../../checkpoint/index.ts'
import type { HeadOptions, HeadType } from '../../models/index.ts'
import {
  mergeStatistics,
  type PreparedTask,
  type PrepareOptions,
  type RecordSource,
  type RecordStatistics,
  recordsInMemory,
  statisticsOf,
  type TaskDefinition,
  type TaskRecord,
} from '../../tasks/index.ts'
import { findBase } from '../engine/base-files.ts'
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
import { type FinetuneRecipe, type RecipeSet, setsOf, taskOf } from './recipe.ts'
import {
  expectOtherFiles,
  expectSameLabels,
  joinValidation,
  labelNotes,
  notesOfSets,
  overlapOfSets,
  type ValidationSet,
} from './several-sets.ts'

/** The data of a fine-tuning run. */
export interface FinetuneData {
  task: TaskDefinition
  config: object
  /** Folder or file of the base. */
  base: string
  /** Folder of an adapter on the base that training begins with. */
  start: string | undefined
  /** The head of that adapter may be of another task. */
  anyStartHead: true
  head: HeadType | readonly HeadType[]
  tokenizer: ModelTokenizer
  validation: RecordSource
  /** The data sets that validation records are of; empty for a single one. */
  validationSets: readonly ValidationSet[]
  /** Statistics of the training records. */
  trained: RecordStatistics
  /** Files that records were read from. */
  files: readonly string[]
  /** SHA-256 of files, where it is known. */
  hashes: { readonly [file: string]: string }
  headOptions: Partial<HeadOptions>
  notes: string[]
  /** Closes the validation records. */
  close(): void
}

/** Data whose records are in memory. */
export interface InMemoryData extends FinetuneData {
  train: TaskRecord[]
}

/** What the encoding of training records depends on, besides the task. */
type EncodeOptions = Pick<PrepareOptions, 'maxLength' | 'headOptions' | 'facts'>

/** A data set whose training records are encoded when the model is known. */
interface TrainingSet extends RecipeSet {
  encode(prepared: PreparedTask, options: EncodeOptions): Promise<EncodedSet>
}

/** Data whose training records are encoded when the model is known. */
export interface TrainingData extends FinetuneData {
  sets: readonly TrainingSet[]
}

/** What is known of a data set after it was read. */
interface ReadSet {
  set: RecipeSet
  /** Statistics of the training records, and of all. */
  trained: RecordStatistics
  all: RecordStatistics
  validation: RecordSource
  files: readonly string[]
  hashes?: { readonly [file: string]: string }
  notes: string[]
  close(): void
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
  const { base, start, tokenizer: own } = await findBase(recipe.base)
  const tokenizerFolder = recipe.tokenizer ?? own
  const tokenizer = await loadTokenizer(tokenizerFolder)
  const anyStartHead = true as const
  return { task, config, base, start, anyStartHead, head: task.head, tokenizer, tokenizerFolder }
}

/** The labels of a record as one text: what a split gives both parts equal shares of. One and the same for tasks without labels. */
export const stratumOf =
  ({ labelCounts, ...task }: TaskDefinition) =>
  (record: TaskRecord): string =>
    [...(labelCounts?.(statisticsOf(task, [record])).keys() ?? [])].sort().join('\0')

/** Which part of its files a data set reads. */
const partOf = ({ config }: RecipeSet): string => {
  const { split, folders } = config as { split?: string; folders?: readonly string[] }
  return JSON.stringify([split, folders])
}

/** What is known of all data sets together. */
const joinSets = async (
  { task, config }: Pick<FinetuneData, 'task' | 'config'>,
  read: readonly ReadSet[],
): Promise<Omit<FinetuneData, 'task' | 'config' | 'base' | 'start' | 'anyStartHead' | 'head' | 'tokenizer'>> => {
  await expectOtherFiles(read.map(({ set, files }) => ({ name: set.name, files, part: partOf(set) })))
  if (read.length > 1) expectSameLabels(task, config, read)
  const trained = mergeStatistics(read.map((one) => one.trained))
  const all = mergeStatistics(read.map((one) => one.all))
  const { headOptions, notes } = learnable(task, config, trained, all)
  const { records, sets } = joinValidation(read.map(({ set, validation }) => ({ name: set.name, records: validation })))
  return {
    validation: records,
    validationSets: sets,
    trained,
    files: read.flatMap(({ files }) => files),
    hashes: Object.assign({}, ...read.map(({ hashes }) => hashes)) as { [file: string]: string },
    headOptions,
    notes: [...notesOfSets(read.map((one) => ({ name: one.set.name, notes: one.notes }))), ...notes],
    close() {
      for (const one of read) one.close()
    },
  }
}

interface SetInMemory extends ReadSet {
  train: TaskRecord[]
  held: TaskRecord[]
}

const readSet = async (
  task: TaskDefinition,
  set: RecipeSet,
  { split, share }: Pick<FinetuneRecipe, 'split' | 'share'>,
): Promise<SetInMemory> => {
  const { path: data, validation: path, validationShare, config } = set
  const {
    notes,
    files,
    validation: held,
    ...both
  } = await readSplits(
    { data, validationShare, ...(path === undefined ? {} : { validation: path }) },
    (one) => task.read(one, config),
    isSplit(split) ? (all) => splitByLabel(all, split, validationShare, stratumOf(task)) : undefined,
  )
  const { train, notes: taken } = takeShare(both.train, share)
  const trained = statisticsOf(task, train)
  return {
    set,
    train,
    held,
    validation: recordsInMemory(held),
    trained,
    all: mergeStatistics([trained, statisticsOf(task, held)]),
    files,
    notes: [...notes, ...taken],
    close() {},
  }
}

/** Reads all records into memory. */
const readInMemory = async (recipe: FinetuneRecipe): Promise<{ data: FinetuneData; sets: readonly SetInMemory[] }> => {
  const parts = await openParts(recipe)
  const sets: SetInMemory[] = []
  for (const set of setsOf(recipe)) sets.push(await readSet(parts.task, set, recipe))
  const data = await joinSets(parts, sets)
  return {
    data: {
      ...parts,
      ...data,
      notes: [...data.notes, ...overlapOfSets(sets.map((one) => ({ ...one, validation: one.held })))],
    },
    sets,
  }
}

/** Reads all records into memory, those of several data sets as one. */
export const readFinetuneData = async (recipe: FinetuneRecipe): Promise<InMemoryData> => {
  const { data, sets } = await readInMemory(recipe)
  const train = sets.length === 1 ? sets[0].train : sets.flatMap((one) => one.train)
  return { ...data, train }
}

/** Looks at a data set in another thread, which encodes it into the cache later. */
const openLargeSet = async (
  set: RecipeSet,
  { task, use, exampleCache, workers, share }: FinetuneRecipe,
  tokenizer: string,
  context: BuildContext,
): Promise<ReadSet & { encode: TrainingSet['encode'] }> => {
  const { path: data, validation: path, validationShare, config } = set
  const settings = { data, validation: path, validationShare, share, task, use, exampleCache, workers }
  const { survey, validation, notes, encode } = await openLargeData(settings, config, context)
  const { trained, all, available, report, validationReport, shared, hashes } = survey
  return {
    set,
    trained,
    all,
    validation,
    files: [...report.files, ...(validationReport?.files ?? [])],
    hashes,
    notes: [
      ...notes,
      ...describeUnread(report),
      ...describeSkipped(report.skipped),
      ...describeSkipped(validationReport?.skipped),
      ...(path === undefined ? describeShare(available, validation.length, validationShare) : []),
      ...describeOverlap(shared ?? 0, validation.length),
      ...describeTaken(trained.records, available, share),
    ],
    encode: (_, options) => encode({ tokenizer, options }),
    close: () => validation.close(),
  }
}

/** Reads the records: small data into memory, large data in another thread that encodes them into the cache. */
export const openTrainingData = async (recipe: FinetuneRecipe, context: BuildContext): Promise<TrainingData> => {
  const declared = setsOf(recipe)
  const paths = declared.flatMap(({ path, validation }) => (validation === undefined ? [path] : [path, validation]))
  if (isSplit(recipe.split) || recipe.read !== undefined || !(await isCached(recipe, paths))) {
    const { data, sets } = await readInMemory(recipe)
    return {
      ...data,
      // Only these functions keep the training records.
      sets: sets.map(({ set, train }) => ({
        ...set,
        encode: (prepared) => encodeInMemory(train, prepared, context.signal),
      })),
    }
  }
  const parts = await openParts(recipe)
  const sets: Awaited<ReturnType<typeof openLargeSet>>[] = []
  for (const set of declared) sets.push(await openLargeSet(set, recipe, parts.tokenizerFolder, context))
  return { ...parts, ...(await joinSets(parts, sets)), sets: sets.map(({ set, encode }) => ({ ...set, encode })) }
}
