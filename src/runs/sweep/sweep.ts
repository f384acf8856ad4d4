// A sweep: one recipe at every point of a grid, or at points that a search proposes, one run after another. Started again it continues:
// finished runs are skipped, and a stopped one is resumed. Each runs in a subprocess, which returns its memory. Independent of task and variant.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import {
  ConfigError,
  DataError,
  lockFolder,
  makeFolder,
  parseConfig,
  parseJson,
  writeFileAtomic,
} from '../../core/index.ts'
import { expectOneProcess } from '../../distributed/index.ts'
import { SWEEP_FILE } from '../../tracking/index.ts'
import { nameFunctions, namesFunctions } from '../engine/recipe-functions.ts'
import { startOf } from '../kinds.ts'
import { withModules } from '../use-modules.ts'
import {
  combinations,
  endPoints,
  expectAxes,
  expectEnoughPoints,
  type GridAxes,
  isRange,
  recipeAt,
  type SweepAxes,
  type SweepPoint,
  sweepPoints,
} from './points.ts'
import { readMark, runPoints, type SweepListener, type SweptRun } from './run-points.ts'
import { openSearch, type Search, type SearchInput } from './search/methods.ts'
import { runSearch, type SearchProgress, type SearchTrial } from './search/run-search.ts'
import { replicateKeys, type SweepSummary, summarize } from './summary.ts'

/** The content of sweep.json. */
export interface SweepFile {
  recipe: object
  over: SweepAxes
  /** Settings of the search; undefined for a grid. */
  search?: Search['settings']
}

/** What may not change: the recipe, compared at one point with every default filled in, as a recipe may leave defaults out. */
const recipeFaults = (known: SweepFile, { recipe }: SweepFile, out: string): string[] => {
  const first = {
    name: '',
    over: Object.fromEntries(
      Object.entries(known.over).map(([path, axis]) => [path, isRange(axis) ? axis.low : axis[0]]),
    ),
  }
  const [before, now] = [known.recipe, recipe].map((each) => {
    const whole = recipeAt(each, first)
    return parseConfig(startOf(whole.command).schema, { ...whole, out }, 'sweep') as Record<string, unknown>
  })
  return [...new Set([...Object.keys(before), ...Object.keys(now)])]
    .filter((key) => !isDeepStrictEqual(before[key], now[key]))
    .map(
      (key) =>
        `Expected \`${key}\` as the sweep in ${out} was started with (${JSON.stringify(before[key])}), got ${JSON.stringify(now[key])}. Start another sweep in a new folder.`,
    )
}

/** The values of a grid may grow; the space of a search may not, as its trials depend on it. */
const axisFaults = (known: SweepFile, { over }: SweepFile, out: string): string[] =>
  Object.entries(known.over).flatMap(([path, axis]) => {
    const now = over[path]
    if (known.search !== undefined || isRange(axis) || isRange(now))
      return isDeepStrictEqual(axis, now)
        ? []
        : [
            `Expected \`over.${path}\` as the search in ${out} was started with (${JSON.stringify(axis)}), got ${JSON.stringify(now)}. Start another search in a new folder.`,
          ]
    const left = axis.filter((value) => !now.some((other) => isDeepStrictEqual(value, other)))
    if (left.length === 0) return []
    return [
      `Expected the values of \`over.${path}\` that the sweep in ${out} was started with, but ${left.map((value) => JSON.stringify(value)).join(', ')} is missing. Only values may be added.`,
    ]
  })

/** More trials continue a search; other settings would have made other trials. */
const searchFaults = (known: SweepFile, { search }: SweepFile, out: string): string[] => {
  const { trials: before = 0, ...others } = known.search ?? {}
  const { trials: now = 0, ...own } = search ?? {}
  if (!isDeepStrictEqual(others, own))
    return [
      `Expected \`search\` as the sweep in ${out} was started with (${JSON.stringify(known.search ?? { method: 'grid' })}), got ${JSON.stringify(search ?? { method: 'grid' })}. Start another sweep in a new folder.`,
    ]
  return now >= before ? [] : [`Expected at least ${before} for \`search.trials\`, as before, got ${now}.`]
}

/** @throws ConfigError for a folder with another sweep, or with other files */
const expectSameSweep = async (out: string, now: SweepFile): Promise<void> => {
  const path = join(out, SWEEP_FILE)
  const text = await readMark(out, SWEEP_FILE, 'sweep')
  if (text === undefined) return
  let known: SweepFile
  try {
    known = JSON.parse(text) as SweepFile
  } catch (error) {
    throw new DataError(`Expected the recipe of a sweep, got ${(error as Error).message}. The file is damaged.`, path)
  }
  const axes = Object.keys(known.over)
  const faults = isDeepStrictEqual([...axes].sort(), Object.keys(now.over).sort())
    ? [recipeFaults, axisFaults, searchFaults].flatMap((faultsOf) => faultsOf(known, now, out))
    : [
        `Expected the keys ${axes.join(', ')} for \`over\`, as the sweep in ${out} was started with, got ${Object.keys(now.over).join(', ')}. Only values may be added.`,
      ]
  if (faults.length > 0) throw new ConfigError(faults)
}

/** Name of the file in a sweep folder that holds its results so far. */
export const SUMMARY_FILE = 'summary.json'

/** A recipe with the values that vary. */
export interface SweepInput {
  /** The recipe of one run, without `out`; `command` is its kind (default: finetune). */
  recipe: object
  /** Values of each key that varies; a search takes ranges too. */
  over: SweepAxes
  /** How points are chosen (default: every combination). */
  search?: SearchInput
  /** Cross-validation: each setting is run this many times, validated on another part of the data each time. */
  folds?: number
  /** Random splits of the data into training and validation, or into folds, that each setting is run with. */
  repeats?: number
  /** Folder of the sweep, with one folder per run. */
  out: string
}

/** The outcome of a sweep. */
export interface SweepResult extends SweepSummary {
  out: string
  reason: 'finished' | 'interrupted'
  runs: SweptRun[]
  /** Trials of a search, in the order of their proposals; undefined for a grid. */
  trials?: SearchTrial[]
}

const plain = <Value>(value: Value): Value => JSON.parse(JSON.stringify(value)) as Value

const numbersBelow = (count: number) => Array.from({ length: count }, (_, i) => i)

/** @throws ConfigError for a count that is none */
const expectCount = (name: 'folds' | 'repeats', value: number | undefined): void => {
  if (value !== undefined && !(Number.isSafeInteger(value) && value >= 2))
    throw new ConfigError(`Expected a whole number of at least 2 for \`${name}\`, got ${value}.`)
}

/** The recipe and the axes with those of cross-validation and repeated splits. */
export const withSplits = ({
  recipe,
  over,
  folds,
  repeats,
  out,
}: SweepInput): { recipe: Record<string, unknown>; over: SweepAxes } => {
  expectCount('folds', folds)
  expectCount('repeats', repeats)
  // Functions do not reach the processes of runs, which find them in the recipe file.
  const named = nameFunctions({ ...recipe, out })
  if (namesFunctions(named) && (recipe as { recipeFile?: unknown }).recipeFile === undefined)
    throw new ConfigError('A sweep needs the file of a recipe with functions, which its runs read: set `recipeFile`.')
  const { out: _, ...given } = plain({ command: 'finetune', ...recipe, ...named }) as Record<string, unknown>
  return {
    recipe: folds === undefined ? given : recipeAt(given, { name: '', over: { 'split.folds': folds } }),
    over: {
      ...plain(over),
      ...(repeats === undefined ? {} : { 'split.repeat': numbersBelow(repeats) }),
      ...(folds === undefined ? {} : { 'split.fold': numbersBelow(folds) }),
    },
  }
}

type Limits = Record<string, number>

/** A recipe whose runs a search compares before their end: evaluated whenever they are. @throws ConfigError for one that cannot be */
const withRungs = (recipe: object, over: SweepAxes, search: Search): { recipe: object; steps?: number } => {
  if (search.rungs === undefined) return { recipe }
  const { method } = search.settings
  const varied = Object.keys(over).find((path) => /^(budget|evaluate)(\.|$)/.test(path))
  if (varied !== undefined)
    throw new ConfigError(
      `Expected runs of one length for the search \`${method}\`, got \`over.${varied}\`. Remove it.`,
    )
  const { budget = {}, evaluate = {} } = recipe as { budget?: Limits; evaluate?: Limits }
  const { steps, ...others } = budget
  if (steps === undefined || Object.keys(others).length > 0)
    throw new ConfigError(
      `The search \`${method}\` compares runs after some of their steps: set \`budget.steps\`, and no other limit of \`budget\`.`,
    )
  const [first] = search.rungs(steps)
  if (Object.keys(evaluate).length === 0) return { recipe: { ...recipe, evaluate: { steps: first } }, steps }
  if (evaluate.steps === undefined || first % evaluate.steps !== 0)
    throw new ConfigError(
      `The search \`${method}\` first compares runs after ${first} steps, which has to be a multiple of \`evaluate.steps\`: set \`search.minSteps\` or \`evaluate.steps\`, or leave \`evaluate\` out.`,
    )
  return { recipe, steps }
}

/** Checks every point. @throws ConfigError that lists each fault once, with the points that have it */
const checkPoints = (recipe: object, points: readonly SweepPoint[], out: string): void => {
  const faults = new Map<string, string[]>()
  for (const point of points) {
    const whole = recipeAt(recipe, point)
    try {
      startOf(whole.command).check({ ...whole, out: join(out, point.name) })
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      faults.set(error.message, [...(faults.get(error.message) ?? []), point.name])
    }
  }
  if (faults.size === 0) return
  throw new ConfigError(
    [...faults].map(([message, names]) => {
      const which = names.length === points.length ? 'every run' : names.slice(0, 5).join(' and ')
      return `${which}${names.length > 5 && names.length < points.length ? ` and ${names.length - 5} more` : ''}: ${message}`
    }),
  )
}

/** Why runs of an earlier session failed, by their names. */
const earlierFailures = async (out: string): Promise<Map<string, string>> => {
  const path = join(out, SUMMARY_FILE)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return new Map()
  const { runs = [] } = parseJson(text, { path, advice: () => 'Delete the file.' }) as { runs?: SweptRun[] }
  return new Map(
    runs.flatMap(({ name, status, message = 'It failed.' }) => (status === 'failed' ? [[name, message]] : [])),
  )
}

const writeSummary = async (out: string, { runs, trials }: { runs: SweptRun[]; trials?: SearchTrial[] }) => {
  const summary = await summarize(runs)
  const file = { ...summary, runs, ...(trials && { trials }) }
  await writeFileAtomic(join(out, SUMMARY_FILE), `${JSON.stringify(file, null, 2)}\n`)
  return summary
}

/**
 * Runs the sweep in its folder, which is locked meanwhile: others see that it goes on between two runs, too.
 * @throws ConfigError for a folder with another sweep, with other files, or in which another process runs one
 */
const inFolder = async <Result>(out: string, file: SweepFile, run: () => Promise<Result>): Promise<Result> => {
  await expectSameSweep(out, file)
  await makeFolder(out, 'out')
  const unlock = await lockFolder(
    out,
    (owner) => `The sweep in \`${out}\` is being run by process ${owner}: wait for it, or stop it.`,
  )
  try {
    await writeFileAtomic(join(out, SWEEP_FILE), `${JSON.stringify(file, null, 2)}\n`)
    return await run()
  } finally {
    await unlock()
  }
}

type CheckedSweep = Pick<SweepInput, 'recipe' | 'over' | 'out'>

const sweepGrid = async ({ out, over, recipe }: CheckedSweep, listener: SweepListener): Promise<SweepResult> => {
  const points = sweepPoints(over)
  if (new Set(points.map(({ name }) => name)).size < points.length)
    throw new ConfigError(
      'Expected values with different names for `over`, got some with the same name. Change one of them.',
    )
  checkPoints(recipe, points, out)
  return inFolder(out, { recipe, over }, async () => {
    const runs: SweptRun[] = points.map((point) => ({ ...point, folder: join(out, point.name), status: 'waiting' }))
    const after = () => writeSummary(out, { runs })
    const reason = await runPoints(runs, (run) => recipeAt(recipe, run), listener, after)
    return { out, reason, ...(await writeSummary(out, { runs })), runs }
  })
}

/** The space of a search, and what each of its trials is run with. @throws ConfigError for axes that cannot be searched */
const searchAxes = (over: SweepAxes): { space: SweepAxes; replicates: Record<string, unknown>[] } => {
  const partOf = (isReplicate: boolean) =>
    Object.fromEntries(Object.entries(over).filter(([path]) => replicateKeys.includes(path) === isReplicate))
  const [space, repeated] = [partOf(false), partOf(true)]
  const range = Object.keys(repeated).find((path) => isRange(repeated[path]))
  if (range !== undefined)
    throw new ConfigError(`Expected a list for \`over.${range}\`, with which each trial is run, got a range.`)
  if (Object.keys(space).length === 0)
    throw new ConfigError(
      'A search needs keys to vary beside the seed and the split: set `over`, for instance --over.learning-rate 1e-5..1e-3:log.',
    )
  return { space, replicates: combinations(repeated as GridAxes) }
}

const sweepSearch = async (
  { out, over, recipe: given }: CheckedSweep,
  search: Search,
  listener: SweepListener,
): Promise<SweepResult> => {
  const { space, replicates } = searchAxes(over)
  expectEnoughPoints(space, search.settings.trials)
  const { recipe, steps } = withRungs(given, space, search)
  const ends = endPoints(space).map(({ name, over: point }) => ({ name, over: { ...point, ...replicates[0] } }))
  checkPoints(recipe, ends, out)
  return inFolder(out, { recipe, over, search: search.settings }, async () => {
    const request = {
      search,
      space,
      replicates,
      ...(steps !== undefined && { steps }),
      out,
      recipeOf: (point: SweepPoint) => recipeAt(recipe, point),
      check: (point: SweepPoint) => checkPoints(recipe, [point], out),
      failed: await earlierFailures(out),
    }
    const after = ({ runs, trials }: SearchProgress) => writeSummary(out, { runs, trials })
    const { reason, runs, trials } = await runSearch(request, listener, after)
    return { out, reason, ...(await writeSummary(out, { runs, trials })), runs, trials }
  })
}

/**
 * Runs every point that has not finished: those of a grid, or those that the search proposes.
 * @throws ConfigError before the first run for a point that cannot run, and for a folder with another sweep
 */
export const sweep = async (input: SweepInput, listener: SweepListener = {}): Promise<SweepResult> => {
  expectOneProcess('sweep')
  const search = openSearch(input.search)
  const { recipe: given, over } = withSplits(input)
  const checked = { out: input.out, over, recipe: await withModules(given) }
  expectAxes(over)
  return search === undefined ? sweepGrid(checked, listener) : sweepSearch(checked, search, listener)
}
