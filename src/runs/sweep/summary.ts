// The results of a sweep: mean and spread over the seeds and splits of each setting, from the files of the runs, and whether settings differ beyond
// chance.
import { join } from 'node:path'
import { studentProbability, studentQuantile } from '../../core/index.ts'
import { isLowerBetter, readRunCard, runFiles } from '../../tracking/index.ts'
import { readEvaluation } from '../engine/evaluation-files.ts'
import { readRunRecipe } from '../kinds.ts'
import type { SweptRun } from './run-points.ts'

/** A mean with its confidence interval, and the probability of a mean as far from 0 by chance. */
interface ResampledMean {
  value: number
  low: number
  high: number
  /** Two-sided p-value. */
  probability: number
}

const confidence = 0.95

/**
 * The mean of values from several splits, one value each.
 * @param ratio validation records by training records; 0 for values that are independent, such as those of several seeds on one split
 * @returns undefined for a single value
 * @source Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52, 2003
 */
export const resampledMean = (values: readonly number[], ratio: number): ResampledMean | undefined => {
  const count = values.length
  if (count < 2) return undefined
  const value = values.reduce((sum, one) => sum + one, 0) / count
  const variance = values.reduce((sum, one) => sum + (one - value) ** 2, 0) / (count - 1)
  const error = Math.sqrt((1 / count + ratio) * variance)
  const half = error * studentQuantile(1 - confidence, count - 1)
  // Values that are equal but for rounding show no error, which does not make a few of them certain: chance alone gives all of
  // them one sign this often.
  const bySign = value === 0 ? 1 : 2 ** (1 - count)
  const areEqual = error <= 1e-9 * Math.abs(value)
  const probability = areEqual ? bySign : studentProbability(value / error, count - 1)
  return { value, low: value - half, high: value + half, probability }
}

/** Fewer seeds of a setting say too little of its spread: with two, settings far apart seldom differ significantly. */
const fewestSeeds = 3

/** Whether values are all the same. The variance of such values can be a rounding error above 0. */
const isConstant = (values: readonly number[]): boolean => values.every((value) => value === values[0])

const momentsOf = (values: readonly number[]): { mean: number; squaredError: number } => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)
  return { mean, squaredError: variance / values.length }
}

/**
 * The mean of `a` minus that of `b`, one value for each seed. Seeds that both have are not paired: their values hardly go together, and
 * where they do, the test is stricter than it says.
 * @returns undefined below three seeds each, and for seeds that change nothing
 * @source B. L. Welch, The Generalization of 'Student's' Problem when Several Different Population Variances are Involved, Biometrika 34, 1947
 */
export const seedDifference = (a: readonly number[], b: readonly number[]): ResampledMean | undefined => {
  if (a.length < fewestSeeds || b.length < fewestSeeds || (isConstant(a) && isConstant(b))) return undefined
  const [first, second] = [momentsOf(a), momentsOf(b)]
  const squaredError = first.squaredError + second.squaredError
  if (!Number.isFinite(squaredError)) return undefined
  const freedom =
    squaredError ** 2 / (first.squaredError ** 2 / (a.length - 1) + second.squaredError ** 2 / (b.length - 1))
  const value = first.mean - second.mean
  const error = Math.sqrt(squaredError)
  const half = error * studentQuantile(1 - confidence, freedom)
  return { value, low: value - half, high: value + half, probability: studentProbability(value / error, freedom) }
}

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
   * t, and for one run by the bootstrap of its evaluation. Over seeds it reaches at least as far as the bootstraps of the runs do on average.
   */
  interval?: { low: number; high: number }
  /**
   * The best setting minus this one: on the same splits by the corrected resampled t-test, or, with three seeds of each or more, by
   * Welch's t-test over these.
   */
  difference?: ResampledMean & ({ splits: number } | { seeds: number })
  /** Runs of it that failed, which the mean leaves out; undefined where none did. */
  failed?: number
  /** Runs that it has in the sweep, whatever became of them. */
  of: number
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
  /** Value of each finished run. */
  values: number[]
  /** Mean value of each split, over seeds. */
  splits: Map<string, number>
  ratio: number
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

const splitOf = ({ over }: SweptRun): string => JSON.stringify([over['split.repeat'], over['split.fold']])

/** All runs of a setting, and the finished ones that have the metric. */
interface RunGroup {
  over: Record<string, unknown>
  planned: SweptRun[]
  runs: SweptRun[]
}

/** Confidence interval of the score of each run, by its name. */
type Intervals = ReadonlyMap<string, { low: number; high: number }>

const noInterval = { low: Number.NaN, high: Number.NaN }

const intervalOf = (
  values: readonly number[],
  splits: ReadonlyMap<string, number>,
  ratio: number,
  own: readonly { low: number; high: number }[],
): { low: number; high: number } | undefined => {
  const mean = { low: meanOf(own.map(({ low }) => low)), high: meanOf(own.map(({ high }) => high)) }
  const hasOwn = Number.isFinite(mean.low) && Number.isFinite(mean.high)
  const resampled = splits.size > 1 ? resampledMean([...splits.values()], ratio) : resampledMean(values, 0)
  if (resampled === undefined || !Number.isFinite(resampled.low)) return hasOwn ? mean : undefined
  const { low, high } = resampled
  // Each split validates other records, so that the interval of one split says nothing of all.
  if (splits.size > 1 || !hasOwn)
    return isConstant(splits.size > 1 ? [...splits.values()] : values) ? undefined : { low, high }
  // Few seeds may agree by chance, and all are scored on the same records.
  return { low: Math.min(low, mean.low), high: Math.max(high, mean.high) }
}

const settingOf = async ({ over, planned, runs }: RunGroup, intervals: Intervals): Promise<ScoredSetting> => {
  const values = runs.map(({ value = Number.NaN }) => value)
  const mean = meanOf(values)
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const bySplit = new Map<string, number[]>()
  for (const run of runs) bySplit.set(splitOf(run), [...(bySplit.get(splitOf(run)) ?? []), run.value ?? Number.NaN])
  const splits = new Map([...bySplit].map(([split, own]) => [split, meanOf(own)]))
  const ratio = splits.size > 1 ? ratioOf((await readRunRecipe(runs[0].folder)) as SplitRecipe) : 0
  const own = runs.map(({ name }) => intervals.get(name) ?? noInterval)
  const interval = intervalOf(values, splits, ratio, own)
  const failed = planned.filter(({ status }) => status === 'failed').length
  return {
    over,
    runs: runs.map(({ name }) => name),
    mean,
    spread: values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1)),
    low: Math.min(...values),
    high: Math.max(...values),
    ...(interval && { interval }),
    ...(failed > 0 && { failed }),
    of: planned.length,
    seconds: meanOf(runs.map(({ seconds = 0 }) => seconds)),
    values,
    splits,
    ratio,
  }
}

/** How much better the best setting is than another: on the splits that both have, or over their seeds. */
const differenceOf = (best: ScoredSetting, other: ScoredSetting): SweepSetting['difference'] => {
  if (best.splits.size < 2 && other.splits.size < 2) {
    const found = seedDifference(best.values, other.values)
    return found && { ...found, seeds: Math.min(best.values.length, other.values.length) }
  }
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

/** Why a finished run is in no setting. */
export const unrankedReason = (run: { metric?: string }, metric = 'a score'): string =>
  `it has ${run.metric ?? 'no score'}, not ${metric}`

/** Runs grouped by everything but seed and split. */
const groupsOf = (runs: readonly SweptRun[]): Map<string, RunGroup> => {
  const groups = new Map<string, RunGroup>()
  for (const run of runs) {
    const over = withoutReplicates(run.over)
    const key = JSON.stringify(over)
    const group = groups.get(key) ?? { over, planned: [], runs: [] }
    group.planned.push(run)
    groups.set(key, group)
  }
  return groups
}

/**
 * The order of settings: settings with a failed run come after those without, as a search ranks them too, and scores that are no numbers
 * come last.
 */
const byRank = (metric: string | undefined) => {
  const sign = metric !== undefined && isLowerBetter(metric) ? 1 : -1
  const tier = ({ mean, failed = 0 }: SweepSetting) => (Number.isNaN(mean) ? 2 : failed > 0 ? 1 : 0)
  return (a: SweepSetting, b: SweepSetting): number =>
    tier(a) - tier(b) || (Number.isNaN(a.mean) ? 0 : sign * (a.mean - b.mean))
}

/** Fills in the values of finished runs, and groups those that differ in their seeds and splits alone. */
export const summarize = async (runs: SweptRun[]): Promise<SweepSummary> => {
  let metric: string | undefined
  const unranked: NonNullable<SweepSummary['unranked']> = []
  const intervals = new Map<string, { low: number; high: number }>()
  const groups = groupsOf(runs)
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
    groups.get(JSON.stringify(withoutReplicates(run.over)))?.runs.push(run)
  }
  const ranked = [...groups.values()].filter((group) => group.runs.length > 0)
  const scored = await Promise.all(ranked.map((group) => settingOf(group, intervals)))
  scored.sort(byRank(metric))
  const settings = scored.map(({ values: _, splits: __, ratio: ___, ...setting }, i): SweepSetting => {
    const difference = i === 0 ? undefined : differenceOf(scored[0], scored[i])
    return { ...setting, ...(difference && { difference }) }
  })
  const clear = isClear(settings, intervals)
  return { metric, settings, ...(clear === undefined ? {} : { clear }), ...(unranked.length > 0 && { unranked }) }
}

/** A p-value below this counts as a difference. */
const significant = 0.05

/**
 * Whether the best setting stands out from the second: by the test over splits or over seeds; with one run each, the confidence intervals
 * of their scores do not overlap, which speaks of other validation records and not of other seeds. Undefined where that is not known: for
 * two seeds, where runs failed, and where one setting has more runs than the other.
 */
const isClear = ([best, second]: readonly SweepSetting[], intervals: Intervals): boolean | undefined => {
  if (best === undefined || second === undefined) return undefined
  if ((best.failed ?? 0) > 0 || (second.failed ?? 0) > 0 || best.runs.length !== second.runs.length) return undefined
  if (second.difference !== undefined) return second.difference.probability < significant
  if (best.runs.length > 1) return undefined
  const [a, b] = [best, second].map(({ runs }) => intervals.get(runs[0]) ?? noInterval)
  if (![a.low, a.high, b.low, b.high].every(Number.isFinite)) return undefined
  return a.low > b.high || b.low > a.high
}
