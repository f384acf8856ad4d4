// Runs many small tasks on a few worker threads and gives the results in the order of the tasks. Independent of the
// work: a worker file calls `serveTasks` with the function that does one task.
import { type ChildProcess, type ForkOptions, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parentPort, type Transferable, Worker, type WorkerOptions } from 'node:worker_threads'
import * as errors from './errors.ts'
import { invariant } from './errors.ts'

interface Request {
  id: number
  task: unknown
}

type Reply = { id: number; result: unknown } | { id: number; error: PortableError }

export interface ServeOptions<Result> {
  /** The buffers of a result that are moved to the other thread instead of copied. */
  transfer?: (result: Result) => Transferable[]
}

/** Called by a worker file: does each task that `runPool` sends, one after the other. */
export const serveTasks = <Task, Result>(
  work: (task: Task) => Result | Promise<Result>,
  { transfer }: ServeOptions<Result> = {},
): void => {
  const port = parentPort
  invariant(port !== null, 'serveTasks was called outside a worker thread.')
  let queue = Promise.resolve()
  port.on('message', ({ id, task }: Request) => {
    queue = queue.then(async () => {
      try {
        const result = await work(task as Task)
        port.postMessage({ id, result } satisfies Reply, transfer?.(result) ?? [])
      } catch (error) {
        port.postMessage({ id, error: packError(error) } satisfies Reply)
      }
    })
  })
}

export interface PoolOptions<Task> {
  /** The worker file, as for `startWorker`. */
  url: URL
  /** How many threads. */
  size: number
  tasks: AsyncIterable<Task> | Iterable<Task>
  signal?: AbortSignal | undefined
  /** Handed to each worker as `workerData`. */
  workerData?: unknown
}

/**
 * Yields the result of each task, in the order of the tasks. Reads the tasks only as fast as they are done. The first
 * error, an abort or leaving the loop early ends all workers.
 */
export async function* runPool<Task, Result>(options: PoolOptions<Task>): AsyncGenerator<Result, void, undefined> {
  const { url, size, tasks, signal, workerData } = options
  invariant(Number.isInteger(size) && size > 0, `runPool needs a size of at least 1, got ${size}.`)
  signal?.throwIfAborted()
  const pool = new Pool(url, size, workerData)
  const onAbort = () => pool.fail(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  const source = iteratorOf(tasks)
  const pending: Promise<unknown>[] = []
  try {
    for (let ended = false; ; ) {
      // Two tasks a worker keep every worker busy while results are consumed.
      while (!ended && pending.length < size * 2) {
        const next = await pool.orFailure(source.next())
        if (next.done) ended = true
        else pending.push(pool.submit(next.value))
      }
      const first = pending.shift()
      if (first === undefined) return
      yield (await first) as Result
    }
  } finally {
    signal?.removeEventListener('abort', onAbort)
    for (const promise of pending) promise.catch(() => {})
    await pool.end()
    const closing = Promise.resolve(source.return?.())
    // A source that is stuck in its own `next` would not answer `return` either, so after a failure nobody waits for it.
    if (pool.hasFailed) closing.catch(() => {})
    else await closing
  }
}

const iteratorOf = <Task>(tasks: AsyncIterable<Task> | Iterable<Task>): AsyncIterator<Task> => {
  if (Symbol.asyncIterator in tasks) return tasks[Symbol.asyncIterator]()
  const inner = tasks[Symbol.iterator]()
  return { next: async () => inner.next(), return: async () => inner.return?.() ?? { done: true, value: undefined } }
}

class Pool {
  readonly #workers: Worker[]
  readonly #load: number[]
  readonly #waiting = new Map<number, { slot: number; resolve(value: unknown): void; reject(error: unknown): void }>()
  #interrupt: (error: unknown) => void = () => {}
  #failure: { error: unknown } | undefined
  #ending = false
  #nextId = 0

  constructor(url: URL, size: number, workerData: unknown) {
    this.#load = new Array<number>(size).fill(0)
    this.#workers = Array.from({ length: size }, () => {
      const worker = startWorker(url, { workerData })
      worker.on('message', (reply: Reply) => this.#receive(reply))
      worker.on('error', (error) => this.fail(error))
      worker.on('messageerror', (error) => this.fail(error))
      worker.on('exit', (code) => {
        if (!this.#ending) this.fail(new Error(`A worker of ${url.pathname} ended early, with code ${code}.`))
      })
      return worker
    })
  }

  submit(task: unknown): Promise<unknown> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error)
    const id = this.#nextId++
    const slot = this.#load.indexOf(Math.min(...this.#load))
    this.#load[slot] += 1
    const promise = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { slot, resolve, reject }))
    promise.catch(() => {})
    this.#workers[slot].postMessage({ id, task } satisfies Request)
    return promise
  }

  /** `promise`, or the failure of the pool when that comes first. */
  orFailure<Value>(promise: Promise<Value>): Promise<Value> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error)
    // Not Promise.race against one lasting promise: that would keep one reaction for every task ever read.
    return new Promise((resolve, reject) => {
      this.#interrupt = reject
      promise.then(resolve, reject)
    })
  }

  fail(error: unknown): void {
    if (this.#failure !== undefined) return
    this.#failure = { error }
    this.#interrupt(error)
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined
  }

  async end(): Promise<void> {
    this.#ending = true
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  #receive(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id)
    if (waiting === undefined) return
    this.#waiting.delete(reply.id)
    this.#load[waiting.slot] -= 1
    if ('error' in reply) waiting.reject(unpackError(reply.error))
    else waiting.resolve(reply.result)
  }
}

/**
 * Starts the worker file at `url`. Name it with `.ts` (`new URL('./count-worker.ts', import.meta.url)`): in a built
 * package the `.js` beside it is taken.
 */
export const startWorker = (url: URL, options: WorkerOptions = {}): Worker => {
  const file = resolveWorkerFile(url)
  if (!file.pathname.endsWith('.ts')) return new Worker(file, options)
  // tsx's --import hook is inert in workers of Node 20, so the worker registers it itself before it loads the file.
  const api = import.meta.resolve('tsx/esm/api')
  const boot = `import(${JSON.stringify(api)}).then((tsx) => { tsx.register(); return import(${JSON.stringify(file.href)}) })`
  return new Worker(boot, { execArgv: [], ...options, eval: true })
}

/** Starts the file at `url`, named as for `startWorker`, as a process that exchanges messages with this one, NaN and all. */
export const startProcess = (url: URL, options: ForkOptions = {}): ChildProcess => {
  const file = resolveWorkerFile(url)
  const source = file.pathname.endsWith('.ts') ? { execArgv: ['--import', import.meta.resolve('tsx')] } : {}
  return fork(file, { serialization: 'advanced', ...source, ...options })
}

const resolveWorkerFile = (url: URL): URL => {
  if (existsSync(fileURLToPath(url))) return url
  const other = new URL(url.href.endsWith('.ts') ? url.href.replace(/\.ts$/, '.js') : url.href.replace(/\.js$/, '.ts'))
  if (existsSync(fileURLToPath(other))) return other
  throw new Error(`Expected a worker file at \`${fileURLToPath(url)}\`, got nothing there. Build the package again.`)
}

export interface PortableError {
  name: string
  message: string
  stack?: string
  fields: Record<string, unknown>
}

export const packError = (error: unknown): PortableError => {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), fields: {} }
  const fields = error instanceof errors.TunesmithError ? { ...error } : {}
  return { name: error.name, message: error.message, stack: error.stack, fields }
}

export const unpackError = ({ name, message, stack, fields }: PortableError): Error => {
  const known = Object.hasOwn(errors, name) ? (errors as Record<string, unknown>)[name] : undefined
  const error = new Error(message)
  if (typeof known === 'function') Object.setPrototypeOf(error, known.prototype as object)
  Object.assign(error, fields, { name })
  if (stack !== undefined) error.stack = stack
  return error
}
