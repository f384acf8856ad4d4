// The results of a sweep: mean and spread over the seeds of each setting, from the files of the runs.
import { join } from 'node:path'
import { isLowerBetter, readRunCard, runFiles } from '../../tracking/index.ts'
import { readEvaluation } from '../engine/evaluation-files.ts'
import { readRunRecipe } from '../run-recipe.ts'
import type { SweptRun } from './run-points.ts'

/** The runs of a sweep that differ in their seeds alone. */
export interface SweepSetting {
  /** Its value on each axis but the seed. */
  over: Record<string, unknown>
  /** Names of its finished runs. */
  runs: string[]
  /** Mean of the main metric. */
  mean: number
  /** Standard deviation over seeds; 0 for one run. */
  spread: number
  low: number
  high: number
  /** Mean wall time of a run. */
  seconds: number
}

/** The main metric of a finished run, and its value. */
const resultOf = async (
  folder: string,
): Promise<{ metric: string; value: number; low?: number; high?: number } | undefined> => {
  const evaluation = await readEvaluation(join(folder, runFiles.model))
  if (evaluation !== undefined) return { metric: evaluation.mainMetric, ...evaluation.metrics[evaluation.mainMetric] }
  const { results = {} } = (await readRunCard(folder)) ?? {}
  const { keep } = await readRunRecipe(folder)
  const metric = keep.best ?? Object.keys(results)[0]
  return metric === undefined || results[metric] === undefined ? undefined : { metric, value: results[metric] }
}

/** Fills in the values of finished runs, and groups those that differ in their seeds alone. */
export const summarize = async (
  runs: SweptRun[],
): Promise<{ metric: string | undefined; settings: SweepSetting[]; clear?: boolean }> => {
  let metric: string | undefined
  const intervals = new Map<string, { low: number; high: number }>()
  const groups = new Map<string, { over: Record<string, unknown>; runs: SweptRun[] }>()
  for (const run of runs) {
    if (run.status !== 'finished') continue
    const result = await resultOf(run.folder)
    if (result === undefined) continue
    metric ??= result.metric
    if (result.metric !== metric) continue
    run.value = result.value
    const { low = Number.NaN, high = Number.NaN } = result
    intervals.set(run.name, { low, high })
    run.seconds = (await readRunCard(run.folder))?.wallSeconds ?? 0
    const { seed: _, ...over } = run.over
    const key = JSON.stringify(over)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { over, runs: [run] })
    else group.runs.push(run)
  }
  const settings = [...groups.values()].map((group): SweepSetting => {
    const values = group.runs.map(({ value = Number.NaN }) => value)
    const mean = meanOf(values)
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
    return {
      over: group.over,
      runs: group.runs.map(({ name }) => name),
      mean,
      spread: values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1)),
      low: Math.min(...values),
      high: Math.max(...values),
      seconds: meanOf(group.runs.map(({ seconds = 0 }) => seconds)),
    }
  })
  const sign = metric !== undefined && isLowerBetter(metric) ? -1 : 1
  const rank = ({ mean }: SweepSetting) => (Number.isNaN(mean) ? Number.NEGATIVE_INFINITY : sign * mean)
  settings.sort((a, b) => rank(b) - rank(a))
  const clear = isClear(settings, intervals)
  return { metric, settings, ...(clear === undefined ? {} : { clear }) }
}

/**
 * Whether the best setting stands out from the second: the ranges of their seeds do not overlap, or, with one seed each, the confidence
 * intervals of their scores. Undefined where neither is known.
 */
const isClear = (
  [best, second]: readonly SweepSetting[],
  intervals: ReadonlyMap<string, { low: number; high: number }>,
): boolean | undefined => {
  if (best === undefined || second === undefined) return undefined
  const ranges = [best, second].map((setting) =>
    best.runs.length > 1 && second.runs.length > 1 ? setting : intervals.get(setting.runs[0]),
  )
  const [a, b] = ranges
  if (a === undefined || b === undefined || ![a.low, a.high, b.low, b.high].every(Number.isFinite)) return undefined
  return a.low > b.high || b.low > a.high
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
