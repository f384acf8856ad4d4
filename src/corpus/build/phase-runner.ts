// Runs the tasks of one phase on worker threads, without those that an earlier run has finished; faults of the machine (full
// disk, missing permission, too many open files) are reworded as one line with what to do.

import {
  beginFault,
  type Progress,
  type ProgressOptions,
  runPool,
  systemFault,
  TunesmithError,
} from '../../core/index.ts'
import type { CountTask } from './contamination-stage.ts'
import type { DocumentTask, ReadTask } from './document-task.ts'
import { readEntry } from './journal.ts'
import type { BuildSettings } from './resolve-options.ts'
import type { WriteTask } from './write-task.ts'

export type WorkerTask = ReadTask | DocumentTask | CountTask | WriteTask

/** `workerData` of the workers. */
export interface WorkerSettings {
  settings: BuildSettings
}

export interface PhaseContext {
  settings: BuildSettings
  workers: number
  signal?: AbortSignal | undefined
  progress?: (options: ProgressOptions) => Progress
}

export interface PhaseOptions<Task extends WorkerTask> {
  label: string
  tasks: readonly Task[]
  isFinished: (task: Task) => Promise<boolean>
  /** Called in order for each task that is finished, now or by an earlier run. */
  onFinished?: (task: Task) => Promise<void>
}

const workerUrl = new URL('./build-worker.ts', import.meta.url)

/** Runs all unfinished tasks; afterwards every task has its journal entry. */
export const runPhase = async <Task extends WorkerTask>(
  options: PhaseOptions<Task>,
  context: PhaseContext,
): Promise<void> => {
  const { label, tasks, isFinished, onFinished } = options
  const pending: Task[] = []
  for (const task of tasks) {
    context.signal?.throwIfAborted()
    if (await isFinished(task)) await onFinished?.(task)
    else pending.push(task)
  }
  if (pending.length === 0) return
  const progress = context.progress?.({ label, total: tasks.length, unit: 'pieces' })
  let done = tasks.length - pending.length
  progress?.update(done)
  try {
    const results = runPool<Task, void>({
      url: workerUrl,
      size: Math.min(context.workers, pending.length),
      tasks: pending,
      signal: context.signal,
      workerData: { settings: context.settings } satisfies WorkerSettings,
    })
    let index = 0
    for await (const _ of results) {
      await onFinished?.(pending[index++]!)
      progress?.update(++done)
    }
  } finally {
    progress?.stop()
  }
}

/** Whether the entry of a task exists and its files are intact. */
export const hasEntry = async ({ folder, key }: { folder: string; key: string }, base = folder): Promise<boolean> =>
  (await readEntry(folder, key, base)) !== undefined

/** Faults of a path that say more in their own words, with the name of the call. */
const ownWords = new Set(['ENOENT', 'EISDIR', 'ENOTDIR'])

/** A fault of the machine reworded; any other error unchanged. */
export const explainFault = (error: unknown): unknown => {
  if (!(error instanceof Error) || error instanceof TunesmithError) return error
  const code = systemFault(error)?.code
  if (code === undefined || ownWords.has(code)) return error
  const path = (error as NodeJS.ErrnoException).path
  const where = path === undefined ? '' : ` at ${path}`
  return new TunesmithError(
    `${beginFault(error)}${where} (${code}). Finished work is kept: fix this, then resume with the same command.`,
  )
}
