// What the endpoints of a studio share: its runs and its end. The state of runs is in their folders, so a studio can be killed at any time.

import { BatchRowsProcess } from '../../runs/index.ts'
import { ModelHosts } from '../playground/model-hosts.ts'
import { AnalysisQueue } from './analysis/analysis-queue.ts'
import { MatrixWork } from './analysis/matrix-work.ts'
import { DataSession } from './data/data-session.ts'
import { RunFilter } from './filter/run-filter.ts'
import { RecipePlanner } from './new-run/start-run.ts'
import { RunLibrary } from './runs/run-library.ts'

/** Settings of a studio, apart from its port. */
export interface StudioSettings {
  /** Folders of runs, or runs (default: `runs`). */
  roots?: readonly string[]
  /** Models for the playground, beside those of the runs: folders, files or Hub ids. */
  models?: readonly string[]
  /** Maximum number of models in memory (default: 3). */
  maxModels?: number
}

/** Called while a studio is used. */
export interface StudioHooks {
  /** A request failed by a fault of the server. */
  onError?(error: unknown): void
}

/** Milliseconds between two looks at the runs while a page is open. */
const followInterval = 500

/** The studio behind its pages. Call `close` at the end. */
export class Studio {
  /** Models of the playground that are in no run. */
  readonly models: readonly string[]
  /** Models of the playground that are in memory. */
  readonly hosts: ModelHosts
  /** Reads the rows of batches in a process of its own. */
  readonly batches = new BatchRowsProcess()
  /** What takes too long for the event loop. */
  readonly analyses = new AnalysisQueue()
  /** Specialists on each other's tasks. */
  readonly matrices = new MatrixWork()
  readonly filter: RunFilter
  readonly planner: RecipePlanner
  readonly data: DataSession
  readonly #hooks: StudioHooks
  readonly #closed = new AbortController()
  readonly #timer: NodeJS.Timeout

  private constructor(
    readonly runs: RunLibrary,
    { models = [], maxModels = 3 }: StudioSettings,
    hooks: StudioHooks,
  ) {
    this.models = models
    this.hosts = new ModelHosts(maxModels)
    this.filter = new RunFilter(runs, this.#closed.signal)
    this.planner = new RecipePlanner(this.#closed.signal)
    this.data = new DataSession(runs)
    this.#hooks = hooks
    this.#timer = setInterval(() => {
      if (this.runs.followed) void this.runs.refresh().catch((error) => this.report(error))
    }, followInterval)
    this.#timer.unref()
  }

  /** @throws ConfigError for a folder that is missing */
  static async open(settings: StudioSettings, hooks: StudioHooks = {}): Promise<Studio> {
    return new Studio(await RunLibrary.open(settings.roots ?? ['runs']), settings, hooks)
  }

  /** Fires when the studio closes. */
  get closed(): AbortSignal {
    return this.#closed.signal
  }

  /** Reports a fault of the server. */
  report(error: unknown): void {
    this.#hooks.onError?.(error)
  }

  close(): void {
    clearInterval(this.#timer)
    this.batches.close()
    this.analyses.close()
    this.matrices.close()
    this.#closed.abort()
    this.hosts.close()
    this.data.close()
  }
}
