// Plans of recipes while a form is filled in, in a process of its own with low priority: planning may take seconds.
import { lowerPriority } from '../../../core/index.ts'
import { ApiError } from '../../http/errors.ts'
import { AnsweringProcess } from '../process/answering-process.ts'
import type { RecipePlan } from '../types/new-run-types.ts'

/** Milliseconds after which a plan is given up. */
const timeLimit = 120_000

/** Milliseconds without a plan after which the process ends. */
const idleMs = 2 * 60_000

/** Plans one recipe at a time. Of those that wait, only the newest is planned. */
export class RecipePlanner {
  readonly #process: AnsweringProcess
  #isBusy = false
  #waiting: { begin(): void; drop(error: unknown): void } | undefined

  /** @param closed - fires when the studio closes */
  constructor(closed: AbortSignal) {
    const file = new URL('./plan-child.ts', import.meta.url)
    this.#process = new AnsweringProcess(file, { idleMs, closed, onStart: lowerPriority })
  }

  /** Id of the process that plans; undefined while there is none. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  /** @throws ApiError if a newer plan was asked for meanwhile */
  async plan(recipe: object): Promise<RecipePlan> {
    // One that waits gets its turn from the one before, which leaves `#isBusy` as it is: none comes between them.
    if (this.#isBusy)
      await new Promise<void>((begin, drop) => {
        this.#waiting?.drop(new ApiError(409, 'A newer plan was asked for.', { code: 'superseded' }))
        this.#waiting = { begin, drop }
      })
    this.#isBusy = true
    try {
      const plan = await this.#process.ask<RecipePlan>(recipe, timeLimit)
      return plan ?? { plan: null, fault: 'The planner took too long or ended: there is no plan for this recipe.' }
    } finally {
      const next = this.#waiting
      this.#waiting = undefined
      this.#isBusy = next !== undefined
      next?.begin()
    }
  }
}
