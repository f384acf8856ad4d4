// Conditions in SQL over the runs of a library. They are computed in a process of their own, which is killed with one that takes too long:
// some functions of a database cannot be interrupted.
import { type PortableError, unpackError } from '../../../core/index.ts'
import { badRequest } from '../../http/errors.ts'
import { expectOneCondition } from '../../sql/sandbox.ts'
import { AnsweringProcess } from '../process/answering-process.ts'
import type { RunLibrary } from '../runs/run-library.ts'
import type { FilterFields, RunRow } from '../types/api-types.ts'
import type { FilteredRuns } from './filter-tables.ts'

/** A question to the process: a condition, or without one the fields. */
export interface FilterRequest {
  /** What has changed since the last question. */
  runs?: FilteredRuns
  where?: string
}

/** An answer of the process. */
export type FilterReply = { ids: string[] } | { fields: FilterFields } | { error: PortableError }

/** Milliseconds after which a condition is stopped. */
const timeLimit = 2000

/** Milliseconds in which the process starts and loads its tables, on a busy machine too. */
const startLimit = 30_000

/** Milliseconds without a question after which the process ends. */
const idleMs = 5 * 60_000

/** Filters the runs of a library. */
export class RunFilter {
  readonly #runs: RunLibrary
  readonly #process: AnsweringProcess
  #recipes: Record<string, unknown>[] = []
  #last: Promise<unknown> = Promise.resolve()

  /** @param closed - fires when the studio closes */
  constructor(runs: RunLibrary, closed: AbortSignal) {
    this.#runs = runs
    this.#process = new AnsweringProcess(new URL('./filter-child.ts', import.meta.url), { idleMs, closed })
  }

  /** Id of the process that filters; undefined while there is none. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  /** The fields that conditions may use. */
  async fields(): Promise<FilterFields> {
    const reply = await this.#inTurn({})
    return (reply as { fields: FilterFields }).fields
  }

  /** Ids of the runs that fulfil a condition. @throws ApiError that says what is wrong with it */
  async find(where: string): Promise<string[]> {
    expectOneCondition(where)
    const reply = await this.#inTurn({ where })
    return (reply as { ids: string[] }).ids
  }

  /** One question after the other. */
  #inTurn(request: FilterRequest): Promise<FilterReply> {
    const turn = this.#last.then(() => this.#ask(request))
    this.#last = turn.catch(() => undefined)
    return turn
  }

  async #ask(request: FilterRequest): Promise<FilterReply> {
    // A condition's time does not include that of the tables, which every condition needs.
    const loaded = await this.#exchange({ runs: this.#changes() }, startLimit)
    const reply = request.where === undefined ? loaded : await this.#exchange(request, timeLimit)
    if (!('error' in reply)) return reply
    throw badRequest((unpackError(reply.error) as Error).message, 'where', 'invalid_filter')
  }

  /** The rows without their curves, and the recipes unless the process has them. */
  #changes(): FilteredRuns {
    const { rows, recipes } = this.#runs
    const all = [...recipes.values()]
    const known = this.#process.pid === undefined ? [] : this.#recipes
    const isSame = all.length === known.length && all.every((recipe, i) => recipe === known[i])
    this.#recipes = all
    const bare = rows.map((row): RunRow => ({ ...row, spark: [] }))
    return { rows: bare, ...(isSame && all.length > 0 ? {} : { recipes: [...recipes] }) }
  }

  async #exchange(request: FilterRequest, limit: number): Promise<FilterReply> {
    const reply = await this.#process.ask<FilterReply>(request, limit)
    if (reply !== undefined) return reply
    throw badRequest(
      `The condition took more than ${timeLimit / 1000} seconds or too much memory, and was stopped. Write a simpler one.`,
      'where',
      'invalid_filter',
    )
  }
}
