// Calls functions of a user's recipe: with a time limit, and with file and line of the user's code in what they throw. Callbacks and the
// stopping rule run beside the training loop.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { ConfigError, packageRoot, programCall, ShapeError, TunesmithError } from '../../core/index.ts'
import type { TrainingEvent } from '../../tracking/index.ts'
import { callableOf, namesFunctions } from './recipe-functions.ts'
import type { CommonRecipe } from './run-kind.ts'

/** What a callback may use. */
export interface CallbackContext {
  /** Folder of the run. */
  folder: string
  /** Aborted when the run is stopped. */
  signal?: AbortSignal | undefined
}

/** Is called with every event of a run, which waits for it. */
export type RecipeCallback = (event: TrainingEvent, context: CallbackContext) => unknown

/** What a stopping rule sees: every evaluation so far, the last one at the end. */
export interface StopContext {
  step: number
  evaluations: readonly { step: number; metrics: Readonly<Record<string, number>> }[]
}

/** Whether the run ends; called after each evaluation. */
export type StopRule = (context: StopContext) => boolean | Promise<boolean>

/** Where a function of a recipe is, for messages. */
interface UserCall {
  /** `callback`, `loss` … */
  noun: string
  name: string
  out: string
  recipeFile?: string | undefined
  /** Seconds after which it is stopped, or reported. */
  seconds: number
}

/** File, line and column of the first frame in the user's code; undefined where none is. */
const placeOf = (error: Error, recipeFile: string | undefined): string | undefined => {
  // The map of a recipe in TypeScript is applied when the stack is first read.
  const before = process.sourceMapsEnabled
  process.setSourceMapsEnabled(true)
  const stack = error.stack ?? ''
  process.setSourceMapsEnabled(before)
  const frames = [...stack.matchAll(/(?:file:\/\/)?(\/[^\s():?]+)(?:\?read=\d+)?:(\d+):(\d+)/g)].map(
    ([, path, line, column]) => ({ path: decodeURI(path), place: `${decodeURI(path)}:${line}:${column}` }),
  )
  const own = frames.find(({ path }) => path === recipeFile)
  // A file that the recipe imports.
  const root = packageRoot()
  return (own ?? frames.find(({ path }) => !path.startsWith(root) && !path.includes('/node_modules/')))?.place
}

/** The call of a function of a recipe. */
export const callOf = (
  noun: string,
  input: unknown,
  { out, recipeFile, callbackSeconds: seconds }: Pick<CommonRecipe, 'out' | 'recipeFile' | 'callbackSeconds'>,
): UserCall => ({ noun, name: (input as { name?: string }).name ?? noun, out, recipeFile, seconds })

const describe = ({ noun, name }: UserCall): string => `the ${noun} \`${name}\``

/** What to do with a correct function: a run without a record, which did not reach its first step, starts again. */
const wayOn = ({ out }: Pick<UserCall, 'out'>, correction: string): string =>
  existsSync(join(out, 'run.json'))
    ? `The last whole step is saved: ${correction}, then \`${programCall('resume', out)}\`.`
    : `Nothing was trained yet: ${correction}, then start the run again.`

const thrownBy = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))

const shown = ({ name, message }: Error): string => `${name}: ${message.split('\n')[0]}`

const fault = (call: UserCall, error: unknown): unknown => {
  // An abort ends the run in order, and errors of the program say themselves where they are: all but those of tensors, which name the
  // operator.
  const placed = error instanceof TunesmithError && !(error instanceof ShapeError)
  if (placed || (error as Error)?.name === 'AbortError') return error
  const thrown = thrownBy(error)
  const place = placeOf(thrown, call.recipeFile) ?? call.recipeFile
  return new ConfigError(
    `${place === undefined ? '' : `${place}: `}${describe(call)} threw ${shown(thrown)}. ${wayOn(call, 'correct the function')}`,
  )
}

/** Watches calls from a thread of its own, which also runs while a function never returns. */
const watcher = `
Promise.all([import('node:worker_threads'), import('node:fs')]).then(([{ workerData }, { writeSync }]) => {
const { until, text } = workerData
const [clock, message] = [new Float64Array(until), new Int32Array(text)]
let said = 0
setInterval(() => {
  const end = clock[0]
  if (end === 0 || end === said || Date.now() < end) return
  said = end
  writeSync(2, String.fromCharCode(...message.subarray(1, 1 + message[0])) + '\\n')
}, 250)
})
`

/** A clock that reports a function which has not returned in time, even if it keeps the thread. */
class CallWatch {
  readonly #until = new Float64Array(new SharedArrayBuffer(8))
  readonly #text = new Int32Array(new SharedArrayBuffer(4 * 2048))
  #worker: Worker | undefined

  start(call: UserCall): void {
    if (this.#worker === undefined) {
      const workerData = { until: this.#until.buffer, text: this.#text.buffer }
      this.#worker = new Worker(watcher, { eval: true, execArgv: [], workerData })
      this.#worker.unref()
    }
    // A thread that is kept takes no other signal: the handlers of SIGINT and SIGTERM would have to run on it.
    const message = `warning: ${describe(call)} has not returned for ${call.seconds} s, and the run waits for it. If it never does, end the process with kill -9 ${process.pid}; its checkpoints are intact: ${programCall('resume', call.out)}`
    const codes = [...message].slice(0, 2000).map((letter) => letter.charCodeAt(0))
    this.#text.set(codes, 1)
    this.#text[0] = codes.length
    this.#until[0] = Date.now() + 1000 * call.seconds
  }

  stop(): void {
    this.#until[0] = 0
  }
}

const watch = new CallWatch()

/** Calls a function that returns at once. @throws ConfigError with the place in the user's code */
export const callNow = <Result>(call: UserCall, work: () => Result): Result => {
  watch.start(call)
  try {
    return work()
  } catch (error) {
    throw fault(call, error)
  } finally {
    watch.stop()
  }
}

/** Calls a function and waits for what it returns. @throws ConfigError with the place, or when it takes longer than its limit */
export const callAndWait = async <Result>(call: UserCall, work: () => Result | Promise<Result>): Promise<Result> => {
  const returned = callNow(call, work)
  if (!(returned instanceof Promise)) return returned
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const limited = `${call.recipeFile === undefined ? '' : `${call.recipeFile}: `}${describe(call)} has not returned after ${call.seconds} s (\`callbackSeconds\`).`
      reject(new ConfigError(`${limited} ${wayOn(call, 'correct the function or raise the limit')}`))
    }, 1000 * call.seconds)
  })
  try {
    return await Promise.race([returned, limit])
  } catch (error) {
    throw fault(call, error)
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Catches what the code of a recipe throws outside of its calls: in a timer, or by a promise that nothing awaits. Such an error would end the
 * process at once, with the steps since the last checkpoint. Only of a run with a recipe file: a program handles the errors of its own functions.
 */
class StrayErrors {
  readonly #where: Pick<UserCall, 'out' | 'recipeFile'>
  #error: Error | undefined
  /** What the process had before `open`; undefined while nothing is caught. */
  #sourceMaps: boolean | undefined

  constructor(where: Pick<UserCall, 'out' | 'recipeFile'>) {
    this.#where = where
  }

  open(): void {
    // Node has read the stack of a rejected promise before anyone is told of it.
    this.#sourceMaps = process.sourceMapsEnabled
    process.setSourceMapsEnabled(true)
    for (const event of strayEvents) process.on(event, this.#take)
  }

  readonly #take = (error: unknown): void => {
    this.#error ??= thrownBy(error)
  }

  /** @throws ConfigError with the place of an error that was caught since the last call */
  check(): void {
    const error = this.#error
    this.#error = undefined
    if (error === undefined) return
    const place = placeOf(error, this.#where.recipeFile) ?? this.#where.recipeFile
    throw new ConfigError(
      `${place}: code of the recipe threw ${shown(error)}, in a timer or a promise that nothing awaits. ${wayOn(this.#where, 'correct it')}`,
    )
  }

  close(): void {
    if (this.#sourceMaps === undefined) return
    process.setSourceMapsEnabled(this.#sourceMaps)
    this.#sourceMaps = undefined
    for (const event of strayEvents) process.off(event, this.#take)
  }
}

const strayEvents = ['uncaughtException', 'unhandledRejection'] as const

export class RunCallbacks {
  readonly #recipe: CommonRecipe
  readonly #callbacks: { call: UserCall; run: RecipeCallback }[]
  readonly #rule: { call: UserCall; stops: StopRule } | undefined
  readonly #strays: StrayErrors
  readonly #evaluations: { step: number; metrics: Record<string, number> }[] = []
  /** Whether the stopping rule has ended the run. */
  stopped = false

  /** @param isFirst false for the other processes of a group, which only agree on the end */
  constructor(recipe: CommonRecipe, isFirst: boolean) {
    const { out, callbacks, stopWhen } = recipe
    this.#recipe = recipe
    this.#strays = new StrayErrors(recipe)
    this.#callbacks = (isFirst ? callbacks : []).map((input) => ({
      call: callOf('callback', input, recipe),
      run: callableOf<RecipeCallback>(input, 'callbacks', out),
    }))
    if (stopWhen !== undefined)
      this.#rule = {
        call: callOf('stopping rule', stopWhen, recipe),
        stops: callableOf<StopRule>(stopWhen, 'stopWhen', out),
      }
  }

  /** An evaluation of an earlier session. */
  note(event: TrainingEvent): void {
    if (event.type === 'evaluation') this.#evaluations.push({ step: event.step, metrics: event.metrics })
  }

  /** Calls what listens to an event. @throws ConfigError for a function that throws or takes too long, and for code that threw outside of a call */
  async take(event: TrainingEvent, signal: AbortSignal | undefined): Promise<void> {
    this.check()
    for (const { call, run } of this.#callbacks)
      await callAndWait(call, () => run(event, { folder: this.#recipe.out, signal }))
    if (event.type !== 'evaluation') return
    this.note(event)
    const context: StopContext = { step: event.step, evaluations: this.#evaluations }
    const { call, stops } = this.#rule ?? {}
    if (call !== undefined && stops !== undefined && (await callAndWait(call, () => stops(context))))
      this.stopped = true
  }

  /** Begins to catch what the code of a recipe file throws outside of its calls. */
  open(): void {
    if (this.#recipe.recipeFile !== undefined && namesFunctions(this.#recipe)) this.#strays.open()
  }

  /** @throws ConfigError for code that threw outside of a call since the last event */
  check(): void {
    this.#strays.check()
  }

  close(): void {
    this.#strays.close()
  }
}
