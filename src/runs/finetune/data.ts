// What a fine-tuning run starts from: task, tokenizer, and the records to train and to validate on, which are encoded, and their classes resampled,
// once the model is known. Independent of task and variant. Writes nothing.

import type { AppliedAdapter } from '../../adapters/index.ts'
import { loadTokenizer, type ModelTokenizer } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { HeadOptions, HeadType, Model } from '../../models/index.ts'
import {
  addSums,
  addTargets,
  expectFewSkipped,
  expectPositions,
  mergeStatistics,
  noTargets,
  type PreparedTask,
  type PrepareOptions,
  type RecordSource,
  type RecordStatistics,
  recordsInMemory,
  scaleSums,
  statisticsOf,
  type TargetSums,
  type TaskDefinition,
  type TaskExample,
  type TaskRecord,
  taskMaxLength,
} from '../../tasks/index.ts'
import { findBase } from '../engine/base-files.ts'
import { isSplit, splitByLabel } from '../engine/folds.ts'
import { type BuildContext, once } from '../engine/run-kind.ts'
import { isCached, openLargeData } from '../examples/large-data.ts'
import {
  describeOverlap,
  describeShare,
  describeSkipped,
  describeTaken,
  describeUnread,
  type EncodedSet,
  encodeInMemory,
  type MixedExamples,
  type MixedSet,
  mixExamples,
  readSplits,
  takeShare,
} from '../examples/run-data.ts'
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

export interface FinetuneData {
  task: TaskDefinition
  config: object
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
  trained: RecordStatistics
  files: readonly string[]
  /** SHA-256 of files, where it is known. */
  hashes: { readonly [file: string]: string }
  headOptions: Partial<HeadOptions>
  notes: string[]
  close(): void
}

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

/** Weight of a class with so many examples. */
const weights = { balanced: () => 1, sqrt: Math.sqrt } satisfies Record<string, (count: number) => number>
type Resampling = keyof typeof weights

/**
 * Divides the examples of data sets by class. It reads each of them once.
 * @throws ConfigError for data sets with shares of their own, and for tasks whose examples have no class
 */
const classSets = (
  given: readonly MixedSet<TaskExample>[],
  prepared: PreparedTask,
  labels: readonly string[],
  how: Resampling,
): { sets: MixedSet<TaskExample>[]; targets: TargetSums[] } => {
  if (given.some(({ weight, maxEpochs, maxExamples }) => (weight ?? maxEpochs ?? maxExamples) !== undefined))
    throw new ConfigError(
      '`resample` and shares of data sets (`weight`, `maxExamples`, `maxEpochs`) both decide how often examples come: remove one.',
    )
  const rows = prepared.generation === undefined ? prepared.rows : undefined
  if (rows?.kind !== 'class')
    throw new ConfigError(
      '`resample` needs a task with one class per example, such as sequence-classification with one label: remove it.',
    )
  if (rows.weights !== undefined)
    throw new ConfigError(
      'Expected `resample` or `settings.classWeights`, got both, which would count rare classes twice. Remove one.',
    )
  const ends: number[] = []
  for (const { examples } of given) ends.push((ends.at(-1) ?? 0) + examples.length)
  // Numbers among all examples, as objects of millions of them would take memory.
  const members: number[][] = labels.map(() => [])
  const targets = labels.map(() => noTargets(rows))
  const find = (member: number): [MixedSet<TaskExample>, number] => {
    const set = ends.findIndex((end) => member < end)
    return [given[set], member - (ends[set - 1] ?? 0)]
  }
  for (let member = 0; member < (ends.at(-1) ?? 0); member++) {
    const [{ examples }, index] = find(member)
    const example = examples.at(index) as TaskExample
    const own = rows.targets(example)
    if (own.length !== 1)
      throw new ConfigError(`\`resample\` needs one class per example, got ${own.length} of them. Remove it.`)
    // Examples whose class is not known are not trained on.
    const label = own[0]
    if (Number.isNaN(label)) continue
    members[label].push(member)
    addTargets(rows, targets[label], example)
  }
  const known = labels.flatMap((name, label) => (members[label].length > 0 ? [{ name, label }] : []))
  return {
    sets: known.map(({ name, label }) => ({
      name,
      weight: weights[how](members[label].length),
      examples: {
        length: members[label].length,
        at: (i) => {
          const [{ examples }, index] = find(members[label][i])
          return examples.at(index)
        },
      },
      placeOf: (i) => {
        const [{ placeOf }, index] = find(members[label][i])
        return placeOf(index)
      },
    })),
    targets: known.map(({ label }) => targets[label]),
  }
}

export interface EncodedRecords {
  prepared: PreparedTask
  mixed: MixedExamples<TaskExample>
  /** Sums of the targets, each set as often as it is trained on. */
  targets: TargetSums | undefined
  maxLength: number
  notes: string[]
  close(): void
}

const describeTruncated = ({ tally, examples }: EncodedSet, maxLength: number): string[] =>
  tally.truncated === 0
    ? []
    : [`${tally.truncated} of ${examples.length} examples are longer than ${maxLength} tokens and are truncated.`]

/**
 * Encodes the records of all data sets for a model.
 * @throws DataError for records that cannot be encoded, ConfigError for more tokens than the model has positions
 */
export const encodeRecords = async (
  recipe: FinetuneRecipe,
  { task, config, tokenizer, trained, sets }: TrainingData,
  { model, virtualTokens }: Pick<AppliedAdapter, 'virtualTokens'> & { model: Model },
  context: BuildContext,
): Promise<EncodedRecords> => {
  const maxLength = recipe.maxLength ?? taskMaxLength(model, tokenizer, task) - virtualTokens
  expectPositions(model.facts, maxLength, virtualTokens)
  const { causal, maxPositions, decoderStartTokenId } = model.facts
  const options = { maxLength, headOptions: model.headOptions, facts: { causal, maxPositions, decoderStartTokenId } }
  const prepare = (own: object) => task.prepare(tokenizer, own, { ...options, trainedOn: trained })
  const prepared = prepare(config)
  const ofSets = sets.map((set) => (set.config === config ? prepared : prepare(set.config)))
  const { done: encoded, close } = await once(context, 'encoded', async () => {
    const done: EncodedSet[] = []
    for (const [i, set] of sets.entries()) {
      const one = await set.encode(ofSets[i], options)
      // Encoding adds to the notes of the prepared task.
      done.push({ ...one, notes: [...one.notes, ...(ofSets[i].notes ?? [])] })
    }
    const closeAll = () => {
      for (const one of done) one.close()
    }
    return { done, close: closeAll }
  })
  for (const [i, { tally }] of encoded.entries())
    expectFewSkipped(tally.skipped, tally.records, ofSets[i].maxSkipped ?? 1, sets[i].path)
  const { seed, dataTemperature: temperature, resample } = recipe
  const declared = sets.map((set, i) => ({
    ...set,
    examples: encoded[i].examples,
    placeOf: (index: number) => encoded[i].placeOf(index),
  }))
  if (resample !== undefined && temperature !== undefined)
    throw new ConfigError('Expected `resample` or `dataTemperature`, got both. Remove one.')
  const byClass = resample && classSets(declared, prepared, model.headOptions.labels, resample)
  const mixed = mixExamples(byClass?.sets ?? declared, { seed, temperature })
  const sizes = byClass?.sets.map(({ examples }) => examples.length) ?? encoded.map(({ examples }) => examples.length)
  const notes = sets.map(({ name }, i) => ({
    name,
    notes: [
      ...encoded[i].notes,
      ...describeSkipped(encoded[i].tally.skipped),
      ...describeTruncated(encoded[i], maxLength),
    ],
  }))
  return {
    prepared,
    mixed,
    targets: mixedTargets(byClass?.targets ?? encoded.map(({ tally }) => tally.targets), sizes, mixed),
    maxLength,
    notes: [...notesOfSets(notes), ...mixed.notes],
    close,
  }
}

/** Targets of all sets, each as often as its examples come in an epoch. */
const mixedTargets = (
  targets: readonly (TargetSums | undefined)[],
  sizes: readonly number[],
  { examples }: MixedExamples<TaskExample>,
): TargetSums | undefined =>
  targets
    .map((sums, i) => sums && scaleSums(sums, examples[i] / sizes[i]))
    .reduce((sum, next) => {
      if (sum !== undefined && next !== undefined) addSums(sum, next)
      return sum ?? next
    })
