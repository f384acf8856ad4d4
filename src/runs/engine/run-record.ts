// The record of a run, whatever it does: events, sessions, run card and reports in its folder, and the lines for its listener.

import { arch } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { packageVersion, writeFileAtomic } from '../../core/index.ts'
import { buildFacts, fallbackCounts, fallbackNotice, productsLabel } from '../../tensor/index.ts'
import {
  type CutRecords,
  makeRunCard,
  modelFiles,
  type RunMeasurement,
  type RunPrediction,
  type RunTracker,
  type TrainingEvent,
  trackRun,
  writeReports,
  writeRunCard,
} from '../../tracking/index.ts'
import { runModelCard } from './card-facts.ts'
import { writeRecipe } from './run-folder.ts'
import type { CommonRecipe, FinalScores } from './run-kind.ts'
import type { RunListener, RunMode, RunResult } from './run-listener.ts'
import { openSessions, type Sessions } from './sessions.ts'

/** What a run has done when it ends. */
export interface RunFacts extends FinalScores {
  reason: RunResult['reason']
  cause?: RunResult['cause']
  model?: string
  modelStep?: number
  steps: number
  tokens: number
  examples: number
  loss: number
  /** Trained parameters. */
  parameters: number
  /** Floating-point operations, estimated. */
  flops: number
  /** Share of the texts whose features were in the cache. */
  cachedShare?: number
  /** What the plan predicted before the first step, and what the steps took. */
  prediction?: RunPrediction
  measured?: RunMeasurement
  /** SHA-256 of what the run depends on. */
  hashes: Record<string, string>
}

const versions = (): Record<string, string> => ({
  tunesmith: packageVersion(),
  node: process.version,
  libtorch: buildFacts().torchVersion,
  products: productsLabel(),
  platform: `${process.platform} ${arch()}`,
})

/** Begins a session of a run. Of the processes of a group one writes; the others keep `silent` records. */
export const openRecord = async (
  recipe: CommonRecipe,
  mode: RunMode,
  listener: RunListener,
  { silent = false }: { silent?: boolean } = {},
): Promise<RunRecord> =>
  new RunRecord(recipe, mode, silent ? {} : listener, await openSessions(recipe.out, { first: mode === 'new' }), silent)

export class RunRecord {
  readonly #recipe: CommonRecipe
  readonly #mode: RunMode
  readonly #listener: RunListener
  readonly #sessions: Sessions
  readonly #silent: boolean
  /** Of the process before the run. */
  readonly #fallbacks = fallbackCounts()
  #tracker: RunTracker | undefined

  constructor(recipe: CommonRecipe, mode: RunMode, listener: RunListener, sessions: Sessions, silent: boolean) {
    this.#silent = silent
    this.#recipe = recipe
    this.#mode = mode
    this.#listener = listener
    this.#sessions = sessions
  }

  /**
   * Writes the recipe of a run that is new or has a new budget. The events of a resumed one are cut back to the checkpoint of `resumeAt`,
   * or all of them where there is none.
   */
  async start(resumeAt?: number): Promise<CutRecords | undefined> {
    const { out } = this.#recipe
    if (this.#silent) return undefined
    if (this.#mode !== 'resume') await writeRecipe(this.#recipe)
    this.#tracker = await trackRun(out, this.#mode === 'new' ? {} : { resumeAt: resumeAt ?? -1 })
    return this.#tracker.cut
  }

  /** Stores an event and passes it on. */
  append(event: TrainingEvent): void {
    this.#tracker?.append(event)
    this.#listener.onEvent?.(event)
  }

  /** Stores an event that no listener sees. */
  keep(event: TrainingEvent): void {
    this.#tracker?.append(event)
  }

  /**
   * Stores a line for people, without showing it.
   * @param step after which it is said
   */
  store(message: string, step = 0): void {
    this.#tracker?.append({ type: 'note', time: new Date().toISOString(), step, message })
  }

  /**
   * Stores a line for people and shows it.
   * @param step after which it is said
   */
  note(message: string, step = 0): void {
    this.store(message, step)
    this.#listener.onNote?.(message)
  }

  /** Brings every event to the disk, so that a kill right after the next checkpoint finds them. */
  sync(): void {
    this.#tracker?.flush({ sync: true })
  }

  /** Writes what this session took so far. */
  noteSession(): Promise<void> {
    return this.#sessions.note()
  }

  /** Records the error that ends the run. */
  async fail({ message }: Error, step: number): Promise<void> {
    try {
      try {
        this.#tracker?.append({ type: 'end', reason: 'failed', time: new Date().toISOString(), step, message })
      } finally {
        this.#tracker?.close()
      }
    } catch {
      // A full disk may refuse this record too; the error itself is thrown.
    }
    if (!this.#silent) await this.#sessions.note().catch(() => {})
    this.#sessions.stop()
  }

  /** Closes the events before the model is exported. */
  close(): void {
    this.#tracker?.close()
  }

  /** Ends the session and writes run card and reports. */
  async finish(facts: RunFacts): Promise<RunResult> {
    const { out, seed, pricePerHour } = this.#recipe
    this.close()
    if (!this.#silent) await this.#sessions.note()
    const { count, wallSeconds, cpuSeconds, energyJoules } = this.#sessions.total()
    this.#sessions.stop()
    const { reason, cause, model, modelStep, steps, tokens, examples, loss, metrics, parameters, flops, hashes } = facts
    const { mainMetric, references, cachedShare = 0, prediction, measured } = facts
    const lacking = fallbackNotice(this.#fallbacks)
    const warnings = [...(facts.warnings ?? []), ...(lacking === undefined ? [] : [lacking])]
    const compared = { ...(mainMetric && { mainMetric }), ...(references && { references }) }
    const exported = modelStep === undefined ? {} : { modelStep }
    const card = makeRunCard({
      name: out,
      seed,
      versions: versions(),
      dataHashes: hashes,
      config: this.#recipe,
      steps,
      ...exported,
      tokens,
      examples,
      wallSeconds,
      cpuSeconds,
      resumed: count - 1,
      parameters,
      flops,
      ...(cachedShare > 0 ? { cachedShare } : {}),
      energyJoules,
      pricePerHour,
      results: { ...metrics },
      ...compared,
      ...(warnings.length > 0 ? { warnings } : {}),
      ...(prediction && { prediction }),
      ...(measured && { measured }),
    })
    if (!this.#silent) {
      await writeRunCard(out, card)
      if (model !== undefined)
        await writeFileAtomic(join(model, modelFiles.card), await runModelCard(model, basename(resolve(out))))
      await writeReports(out)
    }
    return {
      out,
      model,
      ...exported,
      reason,
      ...(cause && { cause }),
      steps,
      tokens,
      seconds: wallSeconds,
      loss,
      metrics,
      ...compared,
      warnings,
    }
  }
}
