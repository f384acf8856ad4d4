// What the files of a sweep say, while it runs and afterwards. It reads no run: what has begun since the last run ended is not known here.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError, parseJson } from '../../core/index.ts'
import { SWEEP_FILE } from '../../tracking/index.ts'
import { combinations, type GridAxes, type SweepAxes, sweepPoints } from './points.ts'
import type { SweptRun } from './run-points.ts'
import type { SearchTrial } from './search/run-search.ts'
import { type SweepSetting, type SweepSummary, withoutReplicates } from './summary.ts'
import { SUMMARY_FILE, type SweepFile } from './sweep.ts'

/** A setting of a grid, or a trial of a search, with its results so far. */
export interface SweepTrial
  extends SearchTrial,
    Partial<Pick<SweepSetting, 'interval' | 'difference' | 'seconds' | 'spread'>> {
  /** Why a run of it failed. */
  message?: string
  /** Runs of it that failed, which its value leaves out. */
  failed?: number
}

/** The state of a sweep on disk. */
export interface SweepState {
  folder: string
  /** The recipe of each run, without what varies. */
  recipe: Record<string, unknown>
  over: SweepAxes
  /** `grid`, or the method of the search. */
  method: string
  /** Trials of the whole sweep, including those that have not begun. */
  planned: number
  trials: SweepTrial[]
  /** The metric that settings are ordered by; undefined before the first result. */
  metric?: string
  /** The best setting; undefined before the first result. */
  best?: Record<string, unknown>
  /** Whether the best setting stands out from the second; undefined where that is not known. */
  clear?: boolean
  /** Finished runs that are in no setting. */
  unranked: NonNullable<SweepSummary['unranked']>
}

interface SummaryFile extends Partial<SweepSummary> {
  runs?: SweptRun[]
  trials?: SearchTrial[]
}

const readObject = async (folder: string, name: string): Promise<object | undefined> => {
  const path = join(folder, name)
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw error
  })
  if (text === undefined) return undefined
  const value = parseJson(text, { path, advice: () => 'The file is damaged.' })
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new DataError('Expected an object, got another value. The file is damaged.', path)
  return value
}

/** A setting without its seed and its split, as text. */
const keyOf = (over: Record<string, unknown>): string => JSON.stringify(Object.entries(withoutReplicates(over)))

/** The settings of a grid in its order, each with the names of its runs. */
const gridTrials = (over: SweepAxes, runs: ReadonlyMap<string, SweptRun>): SweepTrial[] => {
  const trials = new Map<string, SweepTrial>()
  for (const { name, over: point } of sweepPoints(over)) {
    const key = keyOf(point)
    const trial = trials.get(key) ?? {
      number: trials.size + 1,
      over: withoutReplicates(point),
      runs: [],
      status: 'waiting',
    }
    trial.runs.push(name)
    trials.set(key, trial)
  }
  const order = ['failed', 'interrupted', 'waiting', 'finished'] as const
  for (const trial of trials.values()) {
    const statuses = trial.runs.map((name) => runs.get(name)?.status ?? 'waiting')
    trial.status = order.find((status) => statuses.includes(status)) ?? 'waiting'
  }
  return [...trials.values()]
}

/** Settings that a grid has, or trials that a search makes. */
const plannedOf = ({ over, search }: SweepFile): number => {
  if (search !== undefined) return search.trials
  return combinations(withoutReplicates(over) as GridAxes).length
}

/**
 * The state of a sweep by its files; undefined for a folder that is none.
 * @throws DataError for damaged files
 */
export const readSweep = async (folder: string): Promise<SweepState | undefined> => {
  const file = (await readObject(folder, SWEEP_FILE)) as SweepFile | undefined
  if (file === undefined) return undefined
  const path = join(folder, SWEEP_FILE)
  if (typeof file.over !== 'object' || file.over === null || typeof file.recipe !== 'object' || file.recipe === null)
    throw new DataError('Expected `recipe` and `over` of a sweep, got an object without. The file is damaged.', path)
  const summary = ((await readObject(folder, SUMMARY_FILE)) ?? {}) as SummaryFile
  const runs = new Map((summary.runs ?? []).map((run) => [run.name, run]))
  const settings = new Map((summary.settings ?? []).map((setting) => [keyOf(setting.over), setting]))
  const trials = file.search === undefined ? gridTrials(file.over, runs) : (summary.trials ?? [])
  return {
    folder,
    recipe: file.recipe as Record<string, unknown>,
    over: file.over,
    method: file.search?.method ?? 'grid',
    planned: plannedOf(file),
    metric: summary.metric,
    clear: summary.clear,
    unranked: summary.unranked ?? [],
    best: summary.settings?.[0]?.over,
    trials: trials.map((trial): SweepTrial => {
      const { mean, interval, difference, seconds, spread } = settings.get(keyOf(trial.over)) ?? {}
      const message = trial.runs.map((name) => runs.get(name)?.message).find((one) => one !== undefined)
      const failed = trial.runs.filter((name) => runs.get(name)?.status === 'failed').length
      return { ...trial, value: trial.value ?? mean, interval, difference, seconds, spread, message, failed }
    }),
  }
}
