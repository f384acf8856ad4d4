// Sweeps: the list, and one with its trials. The state on disk is joined with the runs that the studio follows, so that what trains now is
// there.
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { exists, folderOwner } from '../../../core/index.ts'
import { readSweep, replicateKeys, type SweepState, type SweepTrial, unrankedReason } from '../../../runs/index.ts'
import { isLowerBetter, SWEEP_FILE } from '../../../tracking/index.ts'
import { ApiError } from '../../http/errors.ts'
import { defineStudioEndpoint } from '../endpoint.ts'
import { finiteOrNull, recipeTitle } from '../shown-values.ts'
import type { RunRow, SweepBest, SweepDetails, SweepList, SweepRow, SweepTrialRow } from '../types/api-types.ts'

/** A folder with runs that is a sweep. */
interface FoundSweep {
  id: string
  folder: string
  /** Its runs, by the names of their folders. */
  runs: Map<string, RunRow>
}

/** The sweeps that runs are in. */
const findSweeps = async (rows: readonly RunRow[]): Promise<FoundSweep[]> => {
  const parents = new Map<string, FoundSweep>()
  for (const row of rows) {
    const folder = dirname(row.folder)
    const end = row.id.lastIndexOf('/')
    const found = parents.get(folder) ?? { id: end < 0 ? '.' : row.id.slice(0, end), folder, runs: new Map() }
    found.runs.set(basename(row.folder), row)
    parents.set(folder, found)
  }
  const known = await Promise.all([...parents.values()].map(({ folder }) => exists(join(folder, SWEEP_FILE))))
  return [...parents.values()].filter((_, i) => known[i])
}

/** Seeds and splits repeat a trial and are no key of it. */
const axesOf = ({ over, trials }: SweepState): string[] =>
  Object.keys(trials[0]?.over ?? over).filter((path) => !replicateKeys.includes(path))

const shownValue = (value: unknown): string | number =>
  typeof value === 'number' || typeof value === 'string' ? value : (JSON.stringify(value) ?? '')

const valuesOf = (over: Record<string, unknown>, axes: readonly string[]) => axes.map((axis) => shownValue(over[axis]))

const isOver = ({ status }: Pick<SweepTrialRow, 'status'>): boolean =>
  status === 'finished' || status === 'stopped' || status === 'failed'

const trialRow = (trial: SweepTrial, axes: readonly string[], runs: ReadonlyMap<string, RunRow>): SweepTrialRow => {
  const own = trial.runs.flatMap((name) => runs.get(name) ?? [])
  const { status, steps, message, value, interval, difference, seconds, failed = 0 } = trial
  return {
    number: trial.number,
    values: valuesOf(trial.over, axes),
    runs: own.map(({ id }) => id),
    of: trial.runs.length,
    done: own.filter(({ state }) => state === 'finished').length,
    failed,
    status: own.some(({ state }) => state === 'running') ? 'running' : status,
    stoppedAt: status === 'stopped' ? (steps ?? null) : null,
    message: message ?? null,
    value: finiteOrNull(value),
    low: finiteOrNull(interval?.low),
    high: finiteOrNull(interval?.high),
    difference: difference === undefined ? null : { value: difference.value, probability: difference.probability },
    seconds: finiteOrNull(seconds),
  }
}

const at = (recipe: unknown, path: string): unknown =>
  path
    .split('.')
    .reduce<unknown>(
      (value, key) =>
        typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined,
      recipe,
    )

/** A trial that has begun since the search last wrote its results: its values are in the recipe of its run. */
const newTrials = (
  { trials }: SweepState,
  axes: readonly string[],
  { runs }: FoundSweep,
  recipes: ReadonlyMap<string, Record<string, unknown>>,
): SweepTrialRow[] => {
  const known = new Set(trials.flatMap((trial) => trial.runs))
  const started = new Map<string, { over: Record<string, unknown>; names: string[] }>()
  for (const [name, row] of runs) {
    if (known.has(name) || row.state !== 'running') continue
    const over = Object.fromEntries(axes.map((axis) => [axis, at(recipes.get(row.id), axis)]))
    const key = JSON.stringify(over)
    started.set(key, { over, names: [...(started.get(key)?.names ?? []), name] })
  }
  return [...started.values()].map(({ over, names }, i) =>
    trialRow({ number: trials.length + i + 1, over, runs: names, status: 'waiting' }, axes, runs),
  )
}

const bestOf = ({ values, value, low, high }: SweepTrialRow): SweepBest => ({ values, value, low, high })

/** One sweep. @throws DataError for damaged files */
export const sweepDetails = async (
  found: FoundSweep,
  recipes: ReadonlyMap<string, Record<string, unknown>>,
): Promise<SweepDetails> => {
  const state = await readSweep(found.folder)
  if (state === undefined) throw new Error(`${found.folder} is no longer a sweep.`)
  const axes = axesOf(state)
  const trials = [
    ...state.trials.map((trial) => trialRow(trial, axes, found.runs)),
    ...(state.method === 'grid' ? [] : newTrials(state, axes, found, recipes)),
  ]
  const bestKey = JSON.stringify(state.best)
  const best = state.best === undefined ? -1 : state.trials.findIndex(({ over }) => JSON.stringify(over) === bestKey)
  const over = trials.filter(isOver).length
  const row: SweepRow = {
    id: found.id,
    title: recipeTitle(state.recipe).title,
    ...{ method: state.method, axes, over, planned: state.planned, metric: state.metric ?? null },
    // Between two runs only the lock of the sweep says that it goes on.
    state:
      trials.some(({ status }) => status === 'running') || (await folderOwner(found.folder)) !== undefined
        ? 'running'
        : over >= state.planned
          ? 'finished'
          : 'unfinished',
    best: best < 0 ? null : bestOf(trials[best]),
    fault: null,
  }
  return {
    row,
    folder: found.folder,
    lowerIsBetter: state.metric !== undefined && isLowerBetter(state.metric),
    clear: state.clear ?? null,
    logAxes: axes.filter((axis) => {
      const range = state.over[axis] as { scale?: unknown } | undefined
      return range?.scale === 'log'
    }),
    trials,
    unranked: state.unranked.map((run) => ({
      name: run.name,
      id: found.runs.get(run.name)?.id ?? null,
      reason: unrankedReason(run, state.metric),
    })),
    best: best < 0 ? null : trials[best].number,
  }
}

/** A sweep in the list, or why its files cannot be read. */
export const sweepRow = async (
  found: FoundSweep,
  recipes: ReadonlyMap<string, Record<string, unknown>>,
): Promise<SweepRow> => {
  try {
    return (await sweepDetails(found, recipes)).row
  } catch (error) {
    return {
      ...{ id: found.id, title: '', method: '', axes: [], state: 'unfinished', over: 0, planned: 0 },
      ...{ metric: null, best: null, fault: (error as Error).message },
    }
  }
}

export const sweepList = defineStudioEndpoint({
  method: 'get',
  path: '/api/sweeps',
  summary: 'List the sweeps that runs are in',
  async answer({ studio: { runs } }): Promise<SweepList> {
    await runs.refresh({ scan: true })
    const found = await findSweeps(runs.rows)
    return { sweeps: await Promise.all(found.map((sweep) => sweepRow(sweep, runs.recipes))) }
  },
})

export const sweepOf = defineStudioEndpoint({
  method: 'get',
  path: '/api/sweep',
  summary: 'Describe a sweep: its trials with their settings, scores and states',
  query: z.strictObject({ id: z.string().min(1).describe('id of the sweep') }),
  async answer({ studio: { runs }, query: { id } }): Promise<SweepDetails> {
    await runs.refresh()
    const found = (await findSweeps(runs.rows)).find((sweep) => sweep.id === id)
    if (found === undefined)
      throw new ApiError(404, `There is no sweep ${id.slice(0, 200)}. It may have been deleted.`, {
        code: 'sweep_not_found',
      })
    return sweepDetails(found, runs.recipes)
  },
})
