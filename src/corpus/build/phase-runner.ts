// Runs the tasks of one phase on worker threads, without those that an earlier run has finished.

import { type Progress, type ProgressOptions, runPool } from '../../core/index.ts'
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
