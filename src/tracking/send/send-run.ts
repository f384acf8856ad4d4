// Sends the events of a run to a tracker of experiments, while the run trains or afterwards. The run's files are only read, so a tracker that
// fails or hangs costs the run nothing, and what was not sent is sent by the next call.
import { readFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { byCodeUnits, DataError, exists, sha256 } from '../../core/index.ts'
import { EventTail } from '../event-tail.ts'
import type { EndEvent, StartEvent } from '../event-types.ts'
import { eventScalars } from '../event-types.ts'
import { readEvents } from '../events.ts'
import { runFiles, SWEEP_FILE } from '../run-files.ts'
import { runOwner } from '../run-requests.ts'
import { listRuns } from '../runs.ts'
import { withoutPlaces } from '../without-places.ts'
import type { RunDestination, SentRun, SentState, SentStep } from './destination.ts'

/** Options of `sendRun`. */
export interface SendOptions {
  /** Keep sending until the run ends (default: send what is there). */
  follow?: boolean
  signal?: AbortSignal | undefined
  onProgress?(steps: number): void
}

/** What was sent. */
export interface SentResult {
  run: string
  /** Steps with numbers in the run's events. */
  steps: number
  state: SentState
  /** Where to find it. */
  place: string
}

const secondsBetweenReads = 2
const stepsAtOnce = 200

/** Settings by the path of their key; lists as JSON. */
const flat = (value: unknown, path: readonly string[] = []): [string, string | number | boolean][] => {
  if (value === null || value === undefined) return []
  if (Array.isArray(value)) return [[path.join('.'), JSON.stringify(value)]]
  if (typeof value === 'object') return Object.entries(value).flatMap(([key, inner]) => flat(inner, [...path, key]))
  return [[path.join('.'), typeof value === 'number' || typeof value === 'boolean' ? value : String(value)]]
}

/** @throws DataError for a folder that is no run */
const factsOf = async (folder: string): Promise<SentRun> => {
  const text = await readFile(join(folder, runFiles.recipe), 'utf8').catch(() => undefined)
  if (text === undefined)
    throw new DataError('Expected the folder of a run, with run.json, found none. Check the path.', folder)
  let start: StartEvent | undefined
  // Notes about the data and the model come before the start.
  for await (const event of readEvents(join(folder, runFiles.events))) {
    if (event.type !== 'start') continue
    start = event
    break
  }
  if (start === undefined)
    throw new DataError(
      'Expected a run that has started to train, got one without a first step. Send it later.',
      folder,
    )
  const name = start.name ?? basename(resolve(folder))
  const parent = dirname(resolve(folder))
  return {
    ...((await exists(join(parent, SWEEP_FILE))) && { group: basename(parent) }),
    id: sha256(`${name}\0${start.time}`).slice(0, 16),
    name,
    started: Date.parse(start.time),
    settings: Object.fromEntries(flat(withoutPlaces(JSON.parse(text)))),
  }
}

/** Waits for the first step of a run that is there, as it may be reading its data. @throws DataError for a run that ended before */
const factsOnceStarted = async (folder: string, signal: AbortSignal | undefined): Promise<SentRun> => {
  for (;;) {
    const isOver = (await runOwner(folder)) === undefined
    try {
      return await factsOf(folder)
    } catch (error) {
      if (isOver || signal?.aborted) throw error
    }
    await setTimeout(500, undefined, { signal }).catch(() => undefined)
  }
}

/** Reads the events of a run and keeps the numbers of each step together. */
class StepReader {
  readonly #tail: EventTail
  #steps: SentStep[] = []
  #open: SentStep | undefined
  end: EndEvent | undefined
  time = 0
  restarted = false

  constructor(path: string) {
    this.#tail = new EventTail(path, {
      onEvent: (event) => {
        this.end = event.type === 'end' ? event : undefined
        this.time = Date.parse(event.time)
        const values = eventScalars(event)
        if (Object.keys(values).length === 0) return
        if (this.#open !== undefined && this.#open.step !== event.step) this.#close()
        this.#open ??= { step: event.step, time: this.time, values: {} }
        Object.assign(this.#open.values, values)
      },
      // A line that is damaged has no numbers; the studio and `runs` name it.
      onDamage: () => undefined,
      onRestart: () => {
        this.restarted = true
        this.#steps = []
        this.#open = undefined
      },
    })
  }

  #close(): void {
    if (this.#open !== undefined) this.#steps.push(this.#open)
    this.#open = undefined
  }

  /** The steps that are new and complete: the last one may get more numbers, unless `all`. */
  async take(all: () => boolean): Promise<SentStep[]> {
    await this.#tail.read()
    if (all()) this.#close()
    const steps = this.#steps
    this.#steps = []
    return steps
  }
}

/**
 * The runs of a folder in the order in which they started: itself, or those of a sweep.
 * @throws DataError for a sweep that has none yet
 */
export const runsToSend = async (folder: string): Promise<string[]> => {
  if (!(await exists(join(folder, SWEEP_FILE)))) return [folder]
  const runs = (await listRuns(folder)).filter(({ step, started }) => started !== undefined && step > 0)
  if (runs.length === 0)
    throw new DataError('Expected a sweep with runs, none has trained a step. Send it later.', folder)
  return runs.sort((a, b) => byCodeUnits(a.started ?? '', b.started ?? '')).map((run) => run.folder)
}

/**
 * Sends a run to a destination.
 * @throws DataError for a folder that is no run, and for a destination that does not take it
 */
export const sendRun = async (
  folder: string,
  destination: RunDestination,
  { follow = false, signal, onProgress }: SendOptions = {},
): Promise<SentResult> => {
  const facts = follow ? await factsOnceStarted(folder, signal) : await factsOf(folder)
  const reader = new StepReader(join(folder, runFiles.events))
  await destination.begin(facts)
  let steps = 0
  for (;;) {
    // Asked before reading, so that nothing is written between the last read and the end.
    const isOver = (await runOwner(folder)) === undefined
    const last = !follow || isOver || signal?.aborted === true
    const taken = await reader.take(() => last || reader.end !== undefined)
    if (reader.restarted) {
      // The run began again in the same folder, or went back to a checkpoint.
      reader.restarted = false
      steps = 0
      await destination.begin(await factsOf(folder))
    }
    for (let from = 0; from < taken.length; from += stepsAtOnce) {
      if (signal?.aborted && !last) break
      await destination.add(taken.slice(from, from + stepsAtOnce))
      steps = steps + Math.min(stepsAtOnce, taken.length - from)
      onProgress?.(steps)
    }
    if (last) {
      const state = stateOf(reader.end, isOver)
      return { run: folder, steps, state, place: await destination.end(state, reader.time) }
    }
    await setTimeout(1000 * secondsBetweenReads, undefined, { signal }).catch(() => undefined)
  }
}

const stateOf = (end: EndEvent | undefined, isOver: boolean): SentState => {
  if (end?.reason === 'finished' || end?.reason === 'failed') return end.reason
  return end === undefined && !isOver ? 'running' : 'stopped'
}
