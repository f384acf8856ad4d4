// Fine-tuning runs side by side: their scores and costs, and whether they differ by more than chance. Reads the files of the runs and runs no
// model. Independent of task and variant.
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { MethodFamily } from '../../adapters/index.ts'
import { byCodeUnits, ConfigError, DataError, exists, groupBy, parseJson, TunesmithError } from '../../core/index.ts'
import { isLowerBetter, modelFiles, readEvents, readRunCard, runFiles } from '../../tracking/index.ts'
import { describeData } from '../engine/data-sets.ts'
import { variantFamily } from '../finetune/recipe.ts'
import type { SavedSample } from '../finetune/specialist-files.ts'
import { baseCosts, type Costs, costsOfPoints, type PointCosts, type RewardChart, rewardCharts } from './run-costs.ts'
import {
  type BaseRunRecipe,
  type ComparedDifference,
  createPairs,
  openScoredRuns,
  type ScoredRun,
} from './scored-run.ts'

/** A run as a row of the comparison. */
export interface ComparedRun {
  /** The folder as it was passed. */
  run: string
  /** The shortest end of the path that no other run has. */
  name: string
  base: string
  task: string
  /** Path of the validation data, as the recipe has it. */
  data: string
  /** SHA-256 of the records that it was scored on; undefined for evaluations of earlier versions. */
  records?: string
  variant: string
  family: MethodFamily
  /** Whether the base was randomly initialised. */
  randomInit: boolean
  seed: number | string
  metric: string
  value: number
  low: number
  high: number
  /** KL divergence from the base in nats per answer, of runs that learned from rewards. */
  kl?: number
  trainedParameters: number
  /** Share of all parameters of model and adapter. */
  trainedShare?: number
  /** Wall time of training and evaluation, in all sessions. */
  seconds: number
  /** Measured energy of the processor; undefined on machines that do not count it. */
  energyJoules?: number
  /** Price of the time, where the recipe has a price per hour. */
  cost?: { amount: number; currency: string }
  /** Peak memory of the process. */
  peakBytes: number
  /** Size of the model's files: the whole model, or the adapter alone. */
  fileBytes: number
  /** Training tokens per second. */
  tokensPerSecond: number
  /** Training examples per second. */
  examplesPerSecond?: number
  /** What a point of score cost. */
  pointCosts?: PointCosts
  /** What the pretraining of the base cost, where its run card is there. */
  baseCosts?: Costs
  /** This run minus the best run on the same records. */
  difference?: ComparedDifference
  /** Effect of pretraining: this run minus the same one with a randomly initialised base. */
  pretraining?: ComparedDifference
}

/** The score of a baseline without training. */
export interface ComparedReference {
  task: string
  /** Name of the baseline, with the runs whose records it was scored on where the runs of its task differ in them. */
  name: string
  /** Name of the baseline alone. */
  baseline: string
  /** Names of the runs that were scored on the same records. */
  runs: string[]
  metric: string
  value: number
  low: number
  high: number
}

/** A validation prompt with the answers of all runs. */
export interface ComparedSample {
  task: string
  id: string
  prompt: string
  reference: string
  /** By the name of the run; those of the untrained base are called `before`. */
  answers: { name: string; text: string }[]
}

/** Runs side by side. */
export interface Comparison {
  /** By task, the best first. */
  runs: ComparedRun[]
  references: ComparedReference[]
  samples: ComparedSample[]
  /** Rewards against the KL divergence from the base, of runs of alignment. */
  rewards: RewardChart[]
  warnings: string[]
}

/** Options of a comparison. */
export interface CompareOptions {
  /** Bootstrap samples behind the differences. */
  resamples?: number
  seed?: number
  /** Called with a folder that cannot be compared, and why, which is then left out (default: it is an error). */
  onSkip?(folder: string, error: TunesmithError): void
}

interface ReadRun extends ScoredRun {
  row: ComparedRun
  /** Versions of the package and of libtorch; empty without a run card. */
  versions: { [name: string]: string }
  /** Share of the texts whose features were in a cache. */
  cachedShare: number
}

/** Files that are not needed to use the model. */
const beside: readonly string[] = [modelFiles.evaluation, modelFiles.predictions]

const sizeOf = async (folder: string): Promise<number> => {
  const names = await readdir(folder)
  const tensors = names.filter((name) => name.endsWith('.safetensors'))
  const counted = tensors.length > 0 ? tensors : names.filter((name) => !beside.includes(name))
  const sizes = await Promise.all(counted.map(async (name) => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

const readRun = async (run: ScoredRun): Promise<ReadRun> => {
  const { folder, model, recipe, comparison, evaluation } = run
  const { mainMetric, metrics, parameters } = evaluation
  const card = await readRunCard(folder)
  let [peakBytes, tokens, seconds] = [0, 0, 0]
  if (await exists(join(folder, runFiles.events)))
    for await (const event of readEvents(join(folder, runFiles.events)))
      if (event.type === 'step') {
        peakBytes = Math.max(peakBytes, event.memoryBytes)
        tokens = event.tokens
        seconds += event.seconds
      }
  const references = (evaluation.references ?? []).flatMap(({ name, metrics: theirs }) =>
    theirs[mainMetric] === undefined ? [] : [{ name, value: theirs[mainMetric].value }],
  )
  const pointCosts = costsOfPoints(card, { metric: mainMetric, value: metrics[mainMetric].value }, references)
  const pretraining = recipe.randomInit === true ? undefined : await baseCosts(recipe.base)
  const trainedParameters = parameters?.trained ?? card?.parameters ?? 0
  const row: ComparedRun = {
    run: folder,
    name: folder,
    base: recipe.base,
    ...comparison.describe(recipe),
    data: recipe.validation ?? describeData(recipe.data),
    ...(evaluation.records === undefined ? {} : { records: evaluation.records.sha256 }),
    family: variantFamily(recipe.variant),
    randomInit: recipe.randomInit ?? false,
    seed: recipe.seed,
    metric: mainMetric,
    ...metrics[mainMetric],
    ...(metrics.kl === undefined ? {} : { kl: metrics.kl.value }),
    trainedParameters,
    ...(parameters === undefined ? {} : { trainedShare: trainedParameters / parameters.total }),
    seconds: card?.wallSeconds ?? seconds,
    ...(card?.energyJoules === undefined ? {} : { energyJoules: card.energyJoules }),
    ...(card?.cost === undefined ? {} : { cost: { amount: card.cost.amount, currency: card.cost.currency } }),
    peakBytes,
    fileBytes: await sizeOf(model),
    tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
    ...(pointCosts && { pointCosts }),
    ...(pretraining && { baseCosts: pretraining }),
    ...(card?.examples === undefined || seconds === 0 ? {} : { examplesPerSecond: card.examples / seconds }),
  }
  return { ...run, row, versions: card?.versions ?? {}, cachedShare: card?.cachedShare ?? 0 }
}

/** The last parts of the paths, as many as make them differ. */
export const shortNames = (folders: readonly string[]): string[] => {
  const parts = folders.map((folder) => resolve(folder).split('/'))
  const most = Math.max(...parts.map(({ length }) => length))
  for (let count = 1; count <= most; count++) {
    const names = parts.map((each) => each.slice(-count).join('/'))
    if (new Set(names).size === names.length) return names
  }
  return [...folders]
}

/** The task, metric and records of a run: only scores within one group can be compared. */
const groupOf = ({ row, evaluation }: ReadRun) =>
  `${row.task}\0${row.metric}\0${evaluation.records?.sha256 ?? 'unknown records'}`

/** The run with a randomly initialised base that is otherwise most similar, with the same seed if there is one. */
const twinOf = ({ recipe }: ReadRun, group: readonly ReadRun[]): ReadRun | undefined => {
  if (recipe.randomInit) return undefined
  const same = (other: BaseRunRecipe, key: keyof BaseRunRecipe) =>
    JSON.stringify(other[key]) === JSON.stringify(recipe[key])
  const differs = (other: BaseRunRecipe) =>
    (Object.keys(recipe) as (keyof BaseRunRecipe)[]).filter(
      (key) => key !== 'out' && key !== 'randomInit' && !same(other, key),
    ).length + (same(other, 'seed') ? 0 : 0.5)
  return group
    .filter(({ recipe: other }) => other.randomInit && same(other, 'base') && same(other, 'variant'))
    .sort((a, b) => differs(a.recipe) - differs(b.recipe))[0]
}

const referencesOf = (group: readonly ReadRun[]): ComparedReference[] => {
  const bases = new Set(group.map(({ recipe }) => recipe.base))
  const runs = group.map(({ row }) => row.name)
  const found = new Map<string, ComparedReference>()
  for (const { row, recipe, evaluation } of group)
    for (const { name, metrics } of evaluation.references ?? []) {
      const interval = metrics[row.metric]
      const own = name === 'untrained base' && bases.size > 1 ? `untrained ${basename(recipe.base)}` : name
      if (interval === undefined || found.has(own)) continue
      found.set(own, { task: row.task, name: own, baseline: own, runs, metric: row.metric, ...interval })
    }
  return [...found.values()]
}

/** The samples in samples.json of tasks that generate text, by id. */
const samplesOf = async (group: readonly ReadRun[]): Promise<ComparedSample[]> => {
  const found = new Map<string, ComparedSample>()
  for (const { row } of group) {
    const path = join(row.run, runFiles.samples)
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text === undefined) continue
    for (const { id, prompt, reference, after, before } of parseSamples(text, path)) {
      let sample = found.get(id)
      if (sample === undefined) found.set(id, (sample = { task: row.task, id, prompt, reference, answers: [] }))
      const once = sample.answers.some(({ name }) => name === 'before')
      if (before !== undefined && !once) sample.answers.unshift({ name: 'before', text: before })
      sample.answers.push({ name: row.name, text: after })
    }
  }
  return [...found.values()]
}

const parseSamples = (text: string, path: string): SavedSample[] => {
  const list = parseJson(text, { path, advice: () => 'Delete the file to compare without it.' })
  if (!Array.isArray(list)) throw new DataError('Expected a list of samples, got something else.', path)
  return list.map((one, i) => {
    const { id = String(i), prompt = '', reference = '', before, ...rest } = (one ?? {}) as Record<string, unknown>
    // Lists of other programs call it `prediction`.
    const after = rest.after ?? rest.prediction
    if (typeof after !== 'string') throw new DataError(`Expected a text for \`after\` of sample ${i}, got none.`, path)
    return {
      id: String(id),
      prompt: String(prompt),
      reference: String(reference),
      after,
      ...(typeof before === 'string' ? { before } : {}),
    }
  })
}

const readRuns = async (folders: readonly string[], { onSkip }: CompareOptions): Promise<ReadRun[]> => {
  const read = [...new Set(folders)].map(async (folder) => {
    try {
      return await Promise.all((await openScoredRuns(folder)).map(readRun))
    } catch (error) {
      if (onSkip === undefined || !(error instanceof TunesmithError)) throw error
      onSkip(folder, error)
      return []
    }
  })
  return (await Promise.all(read)).flat()
}

/**
 * Compares runs with each other and with references; differences need predictions of the same records.
 * @throws ConfigError for no folder
 * @throws DataError for folders without a finished fine-tuning run
 */
export const compareRuns = async (folders: readonly string[], options: CompareOptions = {}): Promise<Comparison> => {
  if (folders.length === 0) throw new ConfigError('Expected one folder of a run or more to compare, got none.')
  const all = await readRuns(folders, options)
  const runs = [...new Set(all.map(({ row }) => row.run))]
  const names = new Map(shortNames(runs).map((name, i) => [runs[i], name]))
  for (const { row, task } of all) row.name = [names.get(row.run), task].filter((part) => part !== undefined).join('/')
  // Runs without a score are last.
  const rank = ({ row: { metric, value } }: ReadRun) => {
    if (Number.isNaN(value)) return Number.NEGATIVE_INFINITY
    return isLowerBetter(metric) ? -value : value
  }
  all.sort((a, b) => byCodeUnits(a.row.task, b.row.task) || rank(b) - rank(a) || byCodeUnits(a.row.name, b.row.name))
  const groups = groupBy(all, groupOf)
  const warnings = [...warningsOf(groups), ...versionWarnings(all), ...cacheWarnings(all)]
  const [references, samples]: [ComparedReference[], ComparedSample[]] = [[], []]
  for (const group of groups.values()) {
    const elsewhere = [...groups.values()].some((other) => other !== group && other[0].row.task === group[0].row.task)
    const whose = elsewhere ? ` (records of ${group.map(({ row }) => row.name).join(', ')})` : ''
    references.push(...referencesOf(group).map((reference) => ({ ...reference, name: `${reference.name}${whose}` })))
    samples.push(...(await samplesOf(group)))
    const [best] = group
    if (group.length < 2) continue
    const pairs = createPairs(options)
    const side = ({ row: { name, metric }, ...run }: ReadRun) => ({ ...run, name, metric })
    for (const run of group) {
      const twin = twinOf(run, group)
      const between = async (other: ReadRun | undefined) =>
        other === undefined || other === run ? undefined : pairs.difference(side(run), side(other))
      const [difference, pretraining] = [await between(best), await between(twin)]
      if (difference !== undefined) run.row.difference = difference
      if (pretraining !== undefined) run.row.pretraining = pretraining
    }
    warnings.push(...pairs.faults)
  }
  const places = all.map(async ({ row, recipe, comparison, evaluation }) => ({
    name: row.name,
    points: (await comparison.rewards?.(recipe, row.run, evaluation.metrics)) ?? [],
  }))
  return {
    runs: all.map(({ row }) => row),
    references,
    samples,
    rewards: rewardCharts(await Promise.all(places)),
    warnings,
  }
}

/** Names the versions where runs differ in what computes: their scores may differ by it. */
const versionWarnings = (runs: readonly ReadRun[]): string[] =>
  ['tunesmith', 'libtorch'].flatMap((name) => {
    const byVersion = groupBy(runs, ({ versions }) => versions[name] ?? 'unknown')
    if (byVersion.size < 2) return []
    const listed = [...byVersion].map(([version, own]) => `${version} (${own.map(({ row }) => row.name).join(', ')})`)
    return [`Runs were made by different versions of ${name}: ${listed.join('; ')}. Scores may differ by that.`]
  })

/** Names the runs that cost less than they would have without earlier ones. */
const cacheWarnings = (runs: readonly ReadRun[]): string[] =>
  runs
    .filter(({ cachedShare }) => cachedShare > 0)
    .map(
      ({ row, cachedShare }) =>
        `${row.name} took the features of ${Math.round(100 * cachedShare)} % of its texts from the cache of an earlier run: its time and operations leave out what they cost.`,
    )

const warningsOf = (groups: ReadonlyMap<string, readonly ReadRun[]>): string[] => {
  const byTask = groupBy([...groups.values()], ([{ row }]) => row.task)
  return [...byTask].flatMap(([task, different]) => {
    if (different.length < 2) return []
    const listed = different.map((group) => {
      const { count } = group[0].evaluation.records ?? {}
      return `${group.map(({ row }) => row.name).join(', ')}${count === undefined ? '' : ` (${count} records)`}`
    })
    return [`Runs of ${task} were scored on different records or by different metrics: ${listed.join('; ')}.`]
  })
}
