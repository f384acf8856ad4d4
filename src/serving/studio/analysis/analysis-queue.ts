// Analyses of runs that take too long for the event loop, one after the other in a worker thread that ends when nobody asks.
import type { Worker } from 'node:worker_threads'
import { type PortableError, startWorker, unpackError } from '../../../core/index.ts'
import type { Analyses } from './analysis-worker.ts'

/** A task for the worker. */
export interface AnalysisTask {
  name: string
  input: unknown
}

/** What `serveTasks` answers. */
type Reply = { id: number; result: unknown } | { id: number; error: PortableError }

interface Job {
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** Milliseconds without a task after which the thread ends. */
const idleMs = 120_000

/** Tasks that may wait; a page asks for a few at a time. */
const maxWaiting = 64

/** One worker thread with the tasks that it has not answered. */
class AnalysisThread {
  isOpen = true
  readonly #worker: Worker
  readonly #jobs = new Map<number, Job>()
  #next = 0
  #idle: NodeJS.Timeout | undefined

  constructor() {
    this.#worker = startWorker(new URL('./analysis-worker.ts', import.meta.url))
    this.#worker.on('message', (reply: Reply) => this.#take(reply))
    this.#worker.on('error', (error) => this.end(error))
    this.#worker.on('exit', (code) => this.end(new Error(`The analysis ended early, with code ${code}.`)))
  }

  ask(task: AnalysisTask): Promise<unknown> {
    if (this.#jobs.size >= maxWaiting) return Promise.reject(new Error('Too many analyses are waiting.'))
    clearTimeout(this.#idle)
    return new Promise((resolve, reject) => {
      const id = this.#next++
      this.#jobs.set(id, { resolve, reject })
      this.#worker.postMessage({ id, task })
    })
  }

  /** Ends the thread; what waits fails with the error. */
  end(error: unknown): void {
    this.isOpen = false
    clearTimeout(this.#idle)
    for (const { reject } of this.#jobs.values()) reject(error)
    this.#jobs.clear()
    void this.#worker.terminate()
  }

  #take(reply: Reply): void {
    const job = this.#jobs.get(reply.id)
    this.#jobs.delete(reply.id)
    if ('error' in reply) job?.reject(unpackError(reply.error))
    else job?.resolve(reply.result)
    if (this.#jobs.size > 0) return
    this.#idle = setTimeout(() => this.end(undefined), idleMs)
    this.#idle.unref()
  }
}

/** Asks for analyses. */
export class AnalysisQueue {
  #thread: AnalysisThread | undefined

  /** The result of an analysis. @throws what the analysis throws */
  ask<Name extends keyof Analyses>(
    name: Name,
    input: Parameters<Analyses[Name]>[0],
  ): Promise<Awaited<ReturnType<Analyses[Name]>>> {
    if (this.#thread?.isOpen !== true) this.#thread = new AnalysisThread()
    // The worker's answer has the type of its analysis.
    return this.#thread.ask({ name, input }) as Promise<Awaited<ReturnType<Analyses[Name]>>>
  }

  /** Ends the thread; what waits fails. */
  close(): void {
    this.#thread?.end(new Error('The studio has closed.'))
  }
}
