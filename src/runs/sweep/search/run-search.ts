// Runs the trials of a search, one after another. What is trained next depends on the seed and on finished results alone, so a search that was
// killed goes through the same trials again, reads those that are done, and continues.
import { join } from 'node:path'
import { ConfigError, createRandom, exists } from '../../../core/index.ts'
import { isLowerBetter, readHistory, runFiles } from '../../../tracking/index.ts'
import { isFinished } from '../../engine/run-record.ts'
import { readRunRecipe } from '../../kinds.ts'
import { nameOf, pointCount, type SearchAxis, type SweepPoint } from '../points.ts'
import { runPoint, type SweepListener, type SweptRun } from '../run-points.ts'
import { type RunScore, scoreOf } from '../summary.ts'
import { nextHalvingJob, type Search } from './methods.ts'
import type { Observation } from './parzen.ts'

/** A point of a search with its runs: one, or one for each seed and split. */
export interface SearchTrial {
  /** Counted from 1, in the order of the proposals. */
  number: number
  /** Its value on each axis. */
  over: Record<string, unknown>
  /** Names of its runs. */
  runs: string[]
  /** `stopped`: compared with others and not continued. */
  status: 'finished' | 'stopped' | 'interrupted' | 'failed' | 'waiting'
  /** Mean of the metric, of the last comparison for a trial that was stopped. */
  value?: number
  /** Steps up to which its value was measured; undefined for finished trials. */
  steps?: number
}

/** What a search needs to know. */
interface SearchRequest {
  search: Search
  space: Readonly<Record<string, SearchAxis>>
  /** Values that each trial is run with, such as seeds and folds. */
  replicates: readonly Record<string, unknown>[]
  /** Steps of a whole run, where the method compares runs before their end. */
  steps?: number
  out: string
  recipeOf(point: SweepPoint): object
  /** Checks a proposal before its first run. @throws ConfigError for a recipe that cannot run */
  check(point: SweepPoint): void
  /** Why runs failed in an earlier session, by their names: they are not tried again. */
  failed: ReadonlyMap<string, string>
}

/** Proposals that equal an earlier one in a row before the search ends. */
const maxRepeats = 200

/** The next point that no trial has; undefined where none is found. */
const proposal = (
  { search, space }: SearchRequest,
  trials: readonly SearchTrial[],
  finished: readonly Observation[],
): Record<string, unknown> | undefined => {
  const known = new Set(trials.map(({ over }) => JSON.stringify(over)))
  if (known.size >= pointCount(space)) return undefined
  const seeded = createRandom(search.settings.seed).fork(`trial ${trials.length}`)
  for (let i = 0; i < maxRepeats; i++) {
    const over = search.propose(space, finished, seeded)
    if (!known.has(JSON.stringify(over))) return over
  }
  return undefined
}

/** The score of a run at a step; undefined where it has not been evaluated there. */
const scoreAt = async (folder: string, step: number): Promise<RunScore | undefined> => {
  if (!(await exists(join(folder, runFiles.events)))) return undefined
  const { evaluations } = await readHistory(folder)
  const { keep } = await readRunRecipe(folder)
  const metric = keep.best ?? Object.keys(evaluations)[0]
  const column = metric === undefined ? undefined : evaluations[metric]
  const value = column?.values[column.steps.lastIndexOf(step)]
  return metric === undefined || value === undefined ? undefined : { metric, value }
}

class SearchRuns {
  readonly #request: SearchRequest
  readonly #listener: SweepListener
  readonly runs: SweptRun[] = []
  readonly trials: SearchTrial[] = []
  #lowerBetter: boolean | undefined

  constructor(request: SearchRequest, listener: SweepListener) {
    this.#request = request
    this.#listener = listener
  }

  async go(after: (search: SearchRuns) => Promise<unknown>): Promise<'finished' | 'interrupted'> {
    const { search, steps: whole } = this.#request
    const { trials: most, reduction = 2 } = search.settings
    const rungs = search.rungs?.(whole ?? 0) ?? [whole ?? 0]
    const scores = rungs.map(() => new Map<number, number>())
    for (let count = most; ; ) {
      const job = nextHalvingJob(scores, count, reduction)
      if (job === undefined) break
      const isLast = job.rung === rungs.length - 1
      if (this.trials[job.trial] === undefined && !this.#begin(scores[0])) {
        // Every point of the space has been tried.
        count = this.trials.length
        continue
      }
      const trial = this.trials[job.trial]
      const loss = await this.#train(trial, isLast ? undefined : rungs[job.rung])
      await after(this)
      if (loss === undefined) return 'interrupted'
      scores[job.rung].set(job.trial, loss)
    }
    return 'finished'
  }

  /** Proposes a trial. */
  #begin(losses: ReadonlyMap<number, number>): boolean {
    const finished = [...losses].map(([trial, loss]) => ({ over: this.trials[trial].over, loss }))
    const over = proposal(this.#request, this.trials, finished)
    if (over === undefined) return false
    const { replicates, out, check } = this.#request
    const points = replicates.map((replicate): SweepPoint => {
      const whole = { ...over, ...replicate }
      return { name: nameOf(whole), over: whole }
    })
    for (const point of points) check(point)
    this.trials.push({
      number: this.trials.length + 1,
      over,
      runs: points.map(({ name }) => name),
      status: 'waiting',
    })
    this.runs.push(...points.map((point): SweptRun => ({ ...point, folder: join(out, point.name), status: 'waiting' })))
    return true
  }

  /** Trains all runs of a trial up to a step, or to their end. @returns the loss; undefined after an interruption */
  async #train(trial: SearchTrial, pauseAt: number | undefined): Promise<number | undefined> {
    const own = this.runs.filter(({ name }) => trial.runs.includes(name))
    const values: number[] = []
    for (const run of own) {
      const score = await this.#score(run, trial, pauseAt)
      if (score === undefined) {
        trial.status = run.status === 'failed' ? 'failed' : 'interrupted'
        return run.status === 'failed' ? Number.POSITIVE_INFINITY : undefined
      }
      this.#lowerBetter ??= isLowerBetter(score.metric)
      values.push(score.value)
    }
    const isWhole = own.every(({ status }) => status === 'finished')
    trial.status = isWhole ? 'finished' : 'stopped'
    trial.value = values.reduce((sum, value) => sum + value, 0) / values.length
    if (isWhole) delete trial.steps
    else trial.steps = pauseAt
    if (Number.isNaN(trial.value)) return Number.POSITIVE_INFINITY
    return this.#lowerBetter ? trial.value : -trial.value
  }

  /** The score of a run, which is trained if it has none yet. */
  async #score(run: SweptRun, trial: SearchTrial, pauseAt: number | undefined): Promise<RunScore | undefined> {
    const known = await this.#known(run, pauseAt)
    if (known !== undefined || run.status === 'failed') {
      if (run.status === 'finished' && pauseAt === undefined) this.#listener.onSkip?.(run)
      return known
    }
    if (this.#listener.signal?.aborted) return undefined
    const { search, recipeOf } = this.#request
    const place = { number: trial.number, of: search.settings.trials }
    const status = await runPoint(run, recipeOf(run), place, this.#listener, pauseAt)
    if (status === 'failed') return undefined
    const score = await this.#known(run, pauseAt)
    if (score !== undefined || status !== 'finished') return score
    throw new ConfigError(`A search needs a metric, and ${run.folder} was not evaluated: set \`evaluate.steps\`.`)
  }

  async #known(run: SweptRun, pauseAt: number | undefined): Promise<RunScore | undefined> {
    if (await isFinished(run.folder)) {
      run.status = 'finished'
      return scoreOf(run.folder)
    }
    const message = this.#request.failed.get(run.name)
    if (message !== undefined && (await exists(run.folder))) {
      Object.assign(run, { status: 'failed', message })
      return undefined
    }
    if (pauseAt === undefined) return undefined
    const score = await scoreAt(run.folder, pauseAt)
    if (score !== undefined) run.status = 'stopped'
    return score
  }
}

/** The runs and trials of a search so far. */
export type SearchProgress = Pick<SearchRuns, 'runs' | 'trials'>

/**
 * Runs a search until all its trials are done.
 * @param after called after each run
 */
export const runSearch = async (
  request: SearchRequest,
  listener: SweepListener,
  after: (progress: SearchProgress) => Promise<unknown>,
): Promise<SearchProgress & { reason: 'finished' | 'interrupted' }> => {
  const search = new SearchRuns(request, listener)
  const reason = await search.go(after)
  return { runs: search.runs, trials: search.trials, reason }
}
