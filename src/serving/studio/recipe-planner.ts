// Plans of recipes while a form is filled in, in a process of its own with low priority: planning may take seconds.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setPriority } from 'node:os'
import { startProcess } from '../../core/index.ts'
import { ApiError } from '../http/errors.ts'
import type { RecipePlan } from './new-run-types.ts'

/** Milliseconds after which a plan is given up. */
const timeLimit = 120_000

/** Milliseconds without a plan after which the process ends. */
const idleLimit = 2 * 60_000

/** As `nice` counts: what trains goes first. */
const lowPriority = 10

const superseded = () => new ApiError(409, 'A newer plan was asked for.', { code: 'superseded' })

/** Plans one recipe at a time. Of those that wait, only the newest is planned. */
export class RecipePlanner {
  #child: ChildProcess | undefined
  #busy = false
  #waiting: { recipe: object; begin(): void; drop(): void } | undefined
  #idle: NodeJS.Timeout | undefined
  readonly #closed: AbortSignal

  /** @param closed - fires when the studio closes */
  constructor(closed: AbortSignal) {
    this.#closed = closed
    closed.addEventListener('abort', () => this.#stop())
  }

  /** @throws ApiError if a newer plan was asked for meanwhile */
  async plan(recipe: object): Promise<RecipePlan> {
    if (this.#busy)
      await new Promise<void>((begin, refuse) => {
        this.#waiting?.drop()
        this.#waiting = { recipe, begin, drop: () => refuse(superseded()) }
      })
    this.#busy = true
    try {
      return await this.#exchange(recipe)
    } finally {
      this.#busy = false
      const next = this.#waiting
      this.#waiting = undefined
      next?.begin()
    }
  }

  async #exchange(recipe: object): Promise<RecipePlan> {
    clearTimeout(this.#idle)
    const child = this.#child ?? this.#start()
    const done = new AbortController()
    const timer = setTimeout(() => done.abort(), timeLimit)
    const ended = () => done.abort()
    child.once('exit', ended)
    try {
      child.send(recipe, () => {})
      const [reply] = (await once(child, 'message', { signal: done.signal })) as [RecipePlan]
      return reply
    } catch {
      this.#stop()
      return { plan: null, fault: 'The planner took too long or ended: there is no plan for this recipe.' }
    } finally {
      clearTimeout(timer)
      child.off('exit', ended)
      this.#idle = setTimeout(() => this.#stop(), idleLimit).unref()
    }
  }

  #start(): ChildProcess {
    this.#closed.throwIfAborted()
    const child = startProcess(new URL('./plan-child.ts', import.meta.url), {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#child = child
    try {
      setPriority(child.pid ?? 0, lowPriority)
    } catch {
      // A system that does not allow it plans at the usual priority.
    }
    return child
  }

  #stop(): void {
    clearTimeout(this.#idle)
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }
}
