// The results of a sweep: mean and spread over the seeds and splits of each setting, from the files of the runs.
import { join } from 'node:path'
import { isLowerBetter, readRunCard, runFiles } from '../../tracking/index.ts'
import { readEvaluation } from '../engine/evaluation-files.ts'
import { readRunRecipe } from '../run-recipe.ts'
import { type ResampledMean, resampledMean } from './resampled.ts'
import type { SweptRun } from './run-points.ts'

/** Keys whose values repeat a setting and do not make another: the seed, and which records validate. */
export const replicateKeys: readonly string[] = ['seed', 'split.fold', 'split.repeat']

/** What a point varies beside its seed and its split. */
export const withoutReplicates = (over: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(over).filter(([path]) => !replicateKeys.includes(path)))

/** The runs of a sweep that differ in their seeds and splits alone. */
export interface SweepSetting {
  /** Its value on each axis but those of the seed and the split. */
  over: Record<string, unknown>
  /** Names of its finished runs. */
  runs: string[]
  /** Mean of the main metric. */
  mean: number
  /** Standard deviation over seeds and splits; 0 for one run. */
  spread: number
  low: number
  high: number
  /**
   * Confidence interval (95 %) of the mean: over splits with the correction for training records that they share, over seeds by Student's
   * t, and for one run by the bootstrap of its evaluation.
   */
  interval?: { low: number; high: number }
  /** The best setting minus this one on the same splits, by the corrected resampled t-test. */
  difference?: ResampledMean & { splits: number }
  /** Mean wall time of a run. */
  seconds: number
}

/** The main metric of a run, and its value. */
export interface RunScore {
  metric: string
  value: number
  low?: number
  high?: number
}

/** The score of a finished run; undefined for one without an evaluation. */
export const scoreOf = async (folder: string): Promise<RunScore | undefined> => {
  const evaluation = await readEvaluation(join(folder, runFiles.model))
  if (evaluation !== undefined) return { metric: evaluation.mainMetric, ...evaluation.metrics[evaluation.mainMetric] }
  const { results = {} } = (await readRunCard(folder)) ?? {}
  const { keep } = await readRunRecipe(folder)
  const metric = keep.best ?? Object.keys(results)[0]
  return metric === undefined || results[metric] === undefined ? undefined : { metric, value: results[metric] }
}

/** A recipe whose data is split. */
interface SplitRecipe {
  validationShare?: number
  share?: number
  split?: { folds?: number }
}

/** Validation records by training records, as the recipe splits them. */
const ratioOf = ({ validationShare = 0, share = 1, split }: SplitRecipe): number => {
  const validation = split?.folds === undefined ? validationShare : 1 / split.folds
  return validation / ((1 - validation) * share)
}

interface ScoredSetting extends SweepSetting {
  /** Mean value of each split, over seeds. */
  splits: Map<string, number>
  ratio: number
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

const splitOf = ({ over }: SweptRun): string => JSON.stringify([over['split.repeat'], over['split.fold']])

/** @param first interval of the score of a single run */
const settingOf = async (
  over: Record<string, unknown>,
  runs: readonly SweptRun[],
  first: { low: number; high: number },
): Promise<ScoredSetting> => {
  const values = runs.map(({ value = Number.NaN }) => value)
  const mean = meanOf(values)
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const bySplit = new Map<string, number[]>()
  for (const run of runs) bySplit.set(splitOf(run), [...(bySplit.get(splitOf(run)) ?? []), run.value ?? Number.NaN])
  const splits = new Map([...bySplit].map(([split, own]) => [split, meanOf(own)]))
  const ratio = splits.size > 1 ? ratioOf((await readRunRecipe(runs[0].folder)) as SplitRecipe) : 0
  const resampled = splits.size > 1 ? resampledMean([...splits.values()], ratio) : resampledMean(values, 0)
  const interval = resampled ?? first
  return {
    over,
    runs: runs.map(({ name }) => name),
    mean,
    spread: values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1)),
    low: Math.min(...values),
    high: Math.max(...values),
    ...(Number.isFinite(interval.low) && { interval: { low: interval.low, high: interval.high } }),
    seconds: meanOf(runs.map(({ seconds = 0 }) => seconds)),
    splits,
    ratio,
  }
}

/** How much better the best setting is than another, on the splits that both have. */
const differenceOf = (best: ScoredSetting, other: ScoredSetting): SweepSetting['difference'] => {
  const common = [...best.splits].flatMap(([split, value]) => {
    const others = other.splits.get(split)
    return others === undefined ? [] : [value - others]
  })
  const found = resampledMean(common, Math.max(best.ratio, other.ratio))
  return found && { ...found, splits: common.length }
}

/** What the runs of a sweep show together. */
export interface SweepSummary {
  /** The metric that settings are ordered by: the main one of the first run that has a score. */
  metric: string | undefined
  /** Runs grouped by everything but seed and split, the best first. */
  settings: SweepSetting[]
  /** Whether the best setting stands out from the second; undefined where that is not known. */
  clear?: boolean
  /** Finished runs that are in no setting, as they have another main metric, or none. */
  unranked?: { name: string; metric?: string }[]
}

/** Fills in the values of finished runs, and groups those that differ in their seeds and splits alone. */
export const summarize = async (runs: SweptRun[]): Promise<SweepSummary> => {
  let metric: string | undefined
  const unranked: NonNullable<SweepSummary['unranked']> = []
  const intervals = new Map<string, { low: number; high: number }>()
  const groups = new Map<string, { over: Record<string, unknown>; runs: SweptRun[] }>()
  for (const run of runs) {
    if (run.status !== 'finished') continue
    const result = await scoreOf(run.folder)
    metric ??= result?.metric
    if (result === undefined || result.metric !== metric) {
      unranked.push({ name: run.name, ...(result && { metric: result.metric }) })
      continue
    }
    run.value = result.value
    const { low = Number.NaN, high = Number.NaN } = result
    intervals.set(run.name, { low, high })
    run.seconds = (await readRunCard(run.folder))?.wallSeconds ?? 0
    const over = withoutReplicates(run.over)
    const key = JSON.stringify(over)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { over, runs: [run] })
    else group.runs.push(run)
  }
  const none = { low: Number.NaN, high: Number.NaN }
  const scored = await Promise.all(
    [...groups.values()].map((group) => settingOf(group.over, group.runs, intervals.get(group.runs[0].name) ?? none)),
  )
  const sign = metric !== undefined && isLowerBetter(metric) ? -1 : 1
  const rank = ({ mean }: SweepSetting) => (Number.isNaN(mean) ? Number.NEGATIVE_INFINITY : sign * mean)
  scored.sort((a, b) => rank(b) - rank(a))
  const settings = scored.map(({ splits: _, ratio: __, ...setting }, i): SweepSetting => {
    const difference = i === 0 ? undefined : differenceOf(scored[0], scored[i])
    return { ...setting, ...(difference && { difference }) }
  })
  const clear = isClear(settings, intervals)
  return { metric, settings, ...(clear === undefined ? {} : { clear }), ...(unranked.length > 0 && { unranked }) }
}

/** A p-value below this counts as a difference. */
const significant = 0.05

/**
 * Whether the best setting stands out from the second: by the test over splits where there are several; else the ranges of their seeds do
 * not overlap, or, with one seed each, the confidence intervals of their scores. Undefined where none is known.
 */
const isClear = (
  [best, second]: readonly SweepSetting[],
  intervals: ReadonlyMap<string, { low: number; high: number }>,
): boolean | undefined => {
  if (best === undefined || second === undefined) return undefined
  if (second.difference !== undefined) return second.difference.probability < significant
  const ranges = [best, second].map((setting) =>
    best.runs.length > 1 && second.runs.length > 1 ? setting : intervals.get(setting.runs[0]),
  )
  const [a, b] = ranges
  if (a === undefined || b === undefined || ![a.low, a.high, b.low, b.high].every(Number.isFinite)) return undefined
  return a.low > b.high || b.low > a.high
}
