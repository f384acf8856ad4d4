// One run of the studio: its row of the table, kept current by reading what its events file gained, and its columns once a page asks.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exists } from '../../../core/index.ts'
import { sessionSeconds } from '../../../runs/index.ts'
import {
  bestOf,
  type DamagedLine,
  type EvaluationEvent,
  EventTail,
  isLowerBetter,
  isStopping,
  keptMetric,
  readRunCard,
  runFiles,
  runOwner,
  type SampleEvent,
  type StepOutline,
  type TailState,
  type TrainingEvent,
} from '../../../tracking/index.ts'
import { fileVersion } from '../analysis/recent.ts'
import { finiteOrNull, recipeTitle } from '../shown-values.ts'
import type { Mark, RunRow, RunState } from '../types/api-types.ts'
import { Columns, Sparkline } from './columns.ts'
import { consoleError } from './console-tail.ts'
import type { RunProcesses } from './run-processes.ts'

/** More marks, samples or damaged lines of one run are counted, but not kept. */
const maxKept = 10_000

/** Steps whose speed makes the estimate of the time left. */
const recentSteps = 20

/** Fields of a step that are curves of their own. */
const stepColumns = ['loss', 'learningRate', 'gradientNorm', 'tokensPerSecond', 'memoryBytes', 'dataSeconds'] as const

/** What a run's events say, without the numbers of each step. */
class Outline {
  step = 0
  totalSteps: number | null = null
  loss: number | null = null
  tokens = 0
  tokensPerSecond: number | null = null
  seconds = 0
  recent: number[] = []
  started: string | null = null
  updated: string | null = null
  end: { reason: RunState; message: string | null } | undefined
  checkpoint: number | null = null
  incidents = 0
  readonly spark = new Sparkline()
  readonly marks: Mark[] = []
  readonly evaluations: EvaluationEvent[] = []
  readonly samples: SampleEvent[] = []
  readonly damage: DamagedLine[] = []

  take(event: TrainingEvent | StepOutline): void {
    this.started ??= event.time
    this.updated = event.time
    this.step = Math.max(this.step, event.step)
    // A resumed run continues after the end of the session before.
    this.end = event.type === 'end' ? { reason: event.reason, message: event.message ?? null } : undefined
    if (event.type === 'step') this.#takeStep(event)
    else if (event.type === 'evaluation') keep(this.evaluations, event)
    else if (event.type === 'sample') keep(this.samples, event)
    else if (event.type !== 'rollout') {
      if (event.type === 'start') this.totalSteps = event.totalSteps ?? this.totalSteps
      if (event.type === 'incident') this.incidents += 1
      if (event.type === 'checkpoint') this.checkpoint = event.step
      keep(this.marks, event)
    }
  }

  #takeStep(event: StepOutline): void {
    this.loss = finiteOrNull(event.loss)
    this.tokens = event.tokens
    this.tokensPerSecond = finiteOrNull(event.tokensPerSecond)
    this.seconds += event.seconds
    this.totalSteps = event.totalSteps || this.totalSteps
    this.recent.push(event.seconds)
    if (this.recent.length > recentSteps) this.recent.shift()
    this.spark.add(event.loss)
  }

  get secondsLeft(): number | null {
    if (this.totalSteps === null || this.recent.length === 0) return null
    const mean = this.recent.reduce((sum, seconds) => sum + seconds, 0) / this.recent.length
    return Math.max(0, this.totalSteps - this.step) * mean
  }
}

const keep = <T>(list: T[], value: T): void => {
  if (list.length < maxKept) list.push(value)
}

/** What one pass over a run's events gives: its outline, and the numbers of each step where a page has asked for them. */
class EventReading {
  outline = new Outline()
  columns: Columns | undefined
  readonly tail: EventTail

  constructor(path: string, options: { columns: boolean }) {
    if (options.columns) this.columns = new Columns()
    this.tail = new EventTail(path, {
      onEvent: (event) => {
        this.outline.take(event)
        if (this.columns !== undefined) addNumbers(this.columns, event)
      },
      ...(options.columns ? {} : { onOutline: (step) => this.outline.take(step) }),
      onDamage: (damage) => keep(this.outline.damage, damage),
      onRestart: () => {
        this.outline = new Outline()
        this.columns?.clear()
      },
    })
  }
}

/** A run in one of the studio's folders. */
export class RunEntry {
  /** Written by the studio's pages; the library reads and stores them. */
  tags: string[] = []
  state: RunState = 'interrupted'
  recipe: Record<string, unknown> | undefined
  /** Whether the files have been read once. */
  isRead = false
  #reading: EventReading
  /** A pass that also reads columns, and takes the place of the one before when it has arrived at the end. */
  #nextReading: EventReading | undefined
  #stopping = false
  /** Why a program that wrote no event ended. */
  #failure: string | undefined
  readonly #processes: RunProcesses | undefined
  /** Version of the file that the recipe was read from. */
  #recipeVersion: string | undefined
  /** From the run card of a finished run; of another by the wall time of its sessions. */
  #cost: RunRow['cost'] = null
  /** Version of the file that the cost was read from, with the price. */
  #costVersion: string | undefined
  /** Whether the row has changed since `takeNews` was called. */
  #hasNews = false
  #row: RunRow | undefined

  /** @param processes - programs that were started here, whose runs count as running before they have locked their folders */
  constructor(
    readonly id: string,
    readonly folder: string,
    processes?: RunProcesses,
  ) {
    this.#processes = processes
    this.#reading = new EventReading(join(folder, runFiles.events), { columns: false })
  }

  /** Reads what is new. @returns `missing` for a run whose files are gone */
  async refresh(): Promise<'read' | 'missing'> {
    const found = await this.#readEvents()
    // A run that was started here has no events before its first step.
    const isBare = found === 'missing'
    if (isBare && !(await exists(join(this.folder, runFiles.console)))) return 'missing'
    const before = JSON.stringify([this.state, this.#stopping, this.#failure])
    await this.#readState(isBare)
    await this.#readRecipe()
    await this.#readCost()
    const isSame = before === JSON.stringify([this.state, this.#stopping, this.#failure])
    if (!isSame || this.#row === undefined) this.#changed()
    this.isRead = true
    return 'read'
  }

  async #readEvents(): Promise<TailState> {
    for (;;) {
      const reading = this.#nextReading ?? this.#reading
      const found = await reading.tail.read()
      // Columns were asked for meanwhile: this pass was stopped, and another one reads everything.
      if (this.#nextReading !== undefined && this.#nextReading !== reading) continue
      if (found === 'read' || reading !== this.#reading) this.#changed()
      this.#reading = reading
      this.#nextReading = undefined
      return found
    }
  }

  #changed(): void {
    this.#row = undefined
    this.#hasNews = true
  }

  /** Whether the row has changed since the last call. Any reader takes in a change: a page that opens the run does too. */
  takeNews(): boolean {
    const had = this.#hasNews
    this.#hasNews = false
    return had
  }

  async #readState(isBare: boolean): Promise<void> {
    const { end, damage } = this.#reading.outline
    const running = (await runOwner(this.folder)) !== undefined
    this.#stopping = running && (await isStopping(this.folder))
    this.#failure = undefined
    if (running || this.#processes?.has(this.folder)) this.state = 'running'
    else if (isBare) {
      this.#failure = await consoleError(join(this.folder, runFiles.console))
      this.state = this.#failure === undefined ? 'interrupted' : 'failed'
    } else this.state = damage.length > 0 ? 'damaged' : (end?.reason ?? 'interrupted')
  }

  /** The recipe: run.json, or what the form had while there is none. */
  async #readRecipe(): Promise<void> {
    const complete = await fileVersion(join(this.folder, runFiles.recipe))
    const name = complete === undefined ? runFiles.form : runFiles.recipe
    const version = complete ?? (await fileVersion(join(this.folder, name)))
    if (version === this.#recipeVersion) return
    const recipe = await this.readJson(name)
    // The version comes with what it names: another call at the same time would find the one without the other.
    this.recipe = recipe
    this.#recipeVersion = version
    this.#row = undefined
  }

  async #readCost(): Promise<void> {
    const { pricePerHour: price, currency } = this.recipe ?? {}
    const isFinished = this.state === 'finished'
    const version = [price, currency, await fileVersion(join(this.folder, runFiles[isFinished ? 'card' : 'sessions']))]
    if (JSON.stringify(version) === this.#costVersion) return
    const cost = typeof price === 'number' ? await costOf(this.folder, isFinished, price, currency) : null
    this.#cost = cost
    this.#costVersion = JSON.stringify(version)
    this.#row = undefined
  }

  /** What was read of the events, apart from the numbers of each step. */
  get outline(): Pick<Outline, 'marks' | 'evaluations' | 'samples' | 'damage'> {
    return this.#reading.outline
  }

  /** Bytes of events.jsonl that the outline includes. */
  get offset(): number {
    return this.#reading.tail.offset
  }

  /** A JSON file of the run's folder; undefined if it is missing or damaged. */
  async readJson(name: string): Promise<Record<string, unknown> | undefined> {
    try {
      const value = JSON.parse(await readFile(join(this.folder, name), 'utf8')) as unknown
      return typeof value === 'object' && value !== null && !Array.isArray(value)
        ? (value as Record<string, unknown>)
        : undefined
    } catch {
      return undefined
    }
  }

  /** The row of the table. */
  get row(): RunRow {
    this.#row ??= this.#makeRow()
    return { ...this.#row, tags: this.tags }
  }

  #makeRow(): RunRow {
    const { outline } = this.#reading
    const { end, damage, spark, secondsLeft, evaluations, step, totalSteps, loss, tokens, tokensPerSecond } = outline
    const { seconds, started, updated, incidents, checkpoint } = outline
    const running = this.state === 'running'
    return {
      ...{ id: this.id, folder: this.folder, state: this.state },
      ...recipeTitle(this.recipe),
      ...{ step, totalSteps, loss, tokens, tokensPerSecond, seconds, incidents, started, updated, checkpoint },
      best: bestEvaluation(evaluations, keptMetric(this.recipe)),
      stopping: this.#stopping,
      secondsLeft: running ? secondsLeft : null,
      spark: spark.values,
      message:
        this.state === 'damaged'
          ? `Line ${damage[0].line} of events.jsonl is damaged: expected ${damage[0].expected}.`
          : running
            ? null
            : (this.#failure ?? end?.message ?? null),
      cost: this.#cost,
      tags: [],
    }
  }

  /** The numbers of each step as columns, up to date. The first call reads the whole file, and so the row with them. */
  async columns(): Promise<Columns> {
    for (;;) {
      if (this.#reading.columns === undefined && this.#nextReading === undefined) {
        this.#nextReading = new EventReading(this.#reading.tail.path, { columns: true })
        this.#reading.tail.stop()
      }
      await this.#readEvents()
      const { columns } = this.#reading
      if (columns !== undefined) return columns
    }
  }

  /** Frees the columns; the next call of `columns` reads them again. */
  dropColumns(): void {
    this.#reading.columns = undefined
  }
}

/** @param metric by which the run keeps its best checkpoint (default: the first that was evaluated) */
const bestEvaluation = (
  evaluations: readonly EvaluationEvent[],
  metric = Object.keys(evaluations[0]?.metrics ?? {})[0],
): RunRow['best'] => {
  const measured = evaluations.filter(({ metrics }) => metrics[metric] !== undefined)
  const column = { steps: measured.map(({ step }) => step), values: measured.map(({ metrics }) => metrics[metric]) }
  const best = bestOf({ [metric]: column }, metric)
  return best === undefined ? null : { ...best, lower: isLowerBetter(metric) }
}

/** Price of the wall time of a run: what its card says, which a finished run has, or what its sessions took so far. */
const costOf = async (
  folder: string,
  isFinished: boolean,
  pricePerHour: number,
  currency: unknown,
): Promise<RunRow['cost']> => {
  // A damaged card must not hide the run.
  const card = isFinished ? await readRunCard(folder).catch(() => undefined) : undefined
  if (card?.cost !== undefined) return { amount: card.cost.amount, currency: card.cost.currency }
  const seconds = await sessionSeconds(folder)
  return { amount: (pricePerHour * seconds) / 3600, currency: typeof currency === 'string' ? currency : 'USD' }
}

/** Adds the numbers of an event under the names of `BucketedCurve`. */
const addNumbers = (columns: Columns, event: TrainingEvent): void => {
  const { step } = event
  if (event.type === 'step') {
    for (const name of stepColumns) columns.add(name, step, event[name])
    columns.add('tokens', step, event.tokens)
    columns.add('seconds', step, event.seconds)
    columns.add('elapsed', step, (columns.last('elapsed') ?? 0) + event.seconds)
    for (const [name, value] of Object.entries(event.terms ?? {})) columns.add(`term/${name}`, step, value)
    for (const [name, value] of Object.entries(event.metrics ?? {})) columns.add(`metric/${name}`, step, value)
    for (const [name, value] of Object.entries(event.gradientNorms ?? {})) columns.add(`layer/${name}`, step, value)
  } else if (event.type === 'evaluation')
    for (const [name, value] of Object.entries(event.metrics)) columns.add(`evaluation/${name}`, step, value)
  else if (event.type === 'rollout')
    for (const [name, value] of Object.entries(event.metrics)) columns.add(`rollout/${name}`, step, value)
}
