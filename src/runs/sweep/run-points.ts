// Runs that belong together in one folder, one after another, each in a subprocess. Started again, finished ones are skipped and a stopped one is
// resumed.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, NativeError } from '../../core/index.ts'
import type { RunListener } from '../engine/run-kind.ts'
import { isFinished } from '../engine/run-record.ts'
import { runInSubprocess } from '../subprocess/run-in-subprocess.ts'
import type { SweepPoint } from './points.ts'

/**
 * The text of the file that says what a folder is; undefined for a folder that is new or empty.
 * @param kind what the folder holds, such as `sweep`
 * @throws ConfigError for a folder with other files
 */
export const readMark = async (out: string, file: string, kind: string): Promise<string | undefined> => {
  const text = await readFile(join(out, file), 'utf8').catch(() => undefined)
  if (text !== undefined) return text
  const present: string[] = await readdir(out).catch(() => [])
  if (present.length > 0)
    throw new ConfigError(
      `Expected a new folder or that of a ${kind} for \`out\`, found ${present.length} other files in ${out}. Name another folder.`,
    )
  return undefined
}

/** Callbacks of a sweep. */
export interface SweepListener {
  /** Called before each run; the listener that it returns is stopped after the run. */
  onRun?(run: { name: string; folder: string; number: number; of: number }): RunListener & { stop?(): void }
  onSkip?(run: { name: string }): void
  signal?: AbortSignal | undefined
}

/** A run of a sweep. */
export interface SweptRun extends SweepPoint {
  folder: string
  /** `stopped`: a search compared it with others and did not continue it. */
  status: 'finished' | 'stopped' | 'interrupted' | 'failed' | 'waiting'
  /** Why the run failed. */
  message?: string
  /** Main metric of a finished run. */
  value?: number
  /** Wall time of all sessions. */
  seconds?: number
}

/**
 * Runs every point that has not finished, and notes in each what became of it.
 * @param after called after each run
 */
export const runPoints = async (
  runs: readonly SweptRun[],
  recipeOf: (run: SweptRun) => object,
  listener: SweepListener,
  after: () => Promise<unknown> = async () => {},
): Promise<'finished' | 'interrupted'> => {
  for (const [i, run] of runs.entries()) {
    if (await isFinished(run.folder)) {
      run.status = 'finished'
      listener.onSkip?.(run)
      continue
    }
    if (listener.signal?.aborted) break
    await runPoint(run, recipeOf(run), { number: i + 1, of: runs.length }, listener)
    await after()
    if (run.status === 'interrupted') break
  }
  return runs.some(({ status }) => status === 'waiting' || status === 'interrupted') ? 'interrupted' : 'finished'
}

/**
 * Starts or continues a run, and notes what became of it.
 * @param pauseAt step after which it is stopped, in order
 */
export const runPoint = async (
  run: SweptRun,
  recipe: object,
  place: { number: number; of: number },
  listener: SweepListener,
  pauseAt?: number,
): Promise<SweptRun['status']> => {
  const { name, folder } = run
  const { stop, ...own } = listener.onRun?.({ name, folder, ...place }) ?? {}
  const watching: RunListener = { ...own, signal: listener.signal }
  try {
    const { reason } = await runInSubprocess({ ...recipe, out: folder }, watching, pauseAt)
    run.status = reason
  } catch (error) {
    // A run that fails in training, for instance by a loss that is not finite, does not stop the others.
    if (listener.signal?.aborted && (error as Error).name === 'AbortError') run.status = 'interrupted'
    else if (error instanceof NativeError) Object.assign(run, { status: 'failed', message: error.message })
    else throw error
  } finally {
    stop?.()
  }
  return run.status
}
