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

/** Asks for analyses: one worker thread, with the tasks that it has not answered. */
export class AnalysisQueue {
  #worker: Worker | undefined
  readonly #jobs = new Map<number, Job>()
  #next = 0
  #idle: NodeJS.Timeout | undefined

  /** The result of an analysis. @throws what the analysis throws */
  ask<Name extends keyof Analyses>(
    name: Name,
    input: Parameters<Analyses[Name]>[0],
  ): Promise<Awaited<ReturnType<Analyses[Name]>>> {
    if (this.#jobs.size >= maxWaiting) return Promise.reject(new Error('Too many analyses are waiting.'))
    clearTimeout(this.#idle)
    const worker = (this.#worker ??= this.#start())
    return new Promise((resolve, reject) => {
      const id = this.#next++
      // The worker's answer has the type of its analysis.
      this.#jobs.set(id, { resolve: resolve as Job['resolve'], reject })
      worker.postMessage({ id, task: { name, input } satisfies AnalysisTask })
    })
  }

  /** Ends the thread; what waits fails. */
  close(): void {
    if (this.#worker !== undefined) this.#end(this.#worker, new Error('The studio has closed.'))
  }

  #start(): Worker {
    const worker = startWorker(new URL('./analysis-worker.ts', import.meta.url))
    worker.on('message', (reply: Reply) => this.#take(reply, worker))
    worker.on('error', (error) => this.#end(worker, error))
    worker.on('exit', (code) => this.#end(worker, new Error(`The analysis ended early, with code ${code}.`)))
    return worker
  }

  /** Ends a thread, unless another one has taken its place; what waits fails with the error. */
  #end(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    clearTimeout(this.#idle)
    for (const { reject } of this.#jobs.values()) reject(error)
    this.#jobs.clear()
    void worker.terminate()
  }

  #take(reply: Reply, worker: Worker): void {
    const job = this.#jobs.get(reply.id)
    this.#jobs.delete(reply.id)
    if ('error' in reply) job?.reject(unpackError(reply.error))
    else job?.resolve(reply.result)
    if (this.#jobs.size > 0) return
    this.#idle = setTimeout(() => this.#end(worker, undefined), idleMs)
    this.#idle.unref()
  }
}
