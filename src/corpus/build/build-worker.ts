// The worker thread of a build: runs the tasks of all phases, one after another, and writes their files and journal
// entries.

import { workerData } from 'node:worker_threads'
import { serveTasks } from '../../core/index.ts'
import type { DocumentWorker } from './document-task.ts'
import { explainFault, type WorkerSettings, type WorkerTask } from './phase-runner.ts'
import type { WriteStages, WriteTask } from './write-task.ts'

const { settings } = workerData as WorkerSettings

// Sources, filters and decontamination indexes take time and memory, so each is loaded on first use and kept.
let documents: Promise<DocumentWorker> | undefined
let writing: Promise<WriteStages> | undefined

const createDocumentWorker = async (): Promise<DocumentWorker> =>
  (await import('./document-task.ts')).DocumentWorker.create(settings)

const createWriteStages = async ({ contamination: files }: WriteTask): Promise<WriteStages> => {
  const { dedup, contamination } = settings
  if (contamination === undefined || files === undefined) return { dedup }
  const { ContaminationCheck } = await import('./contamination-stage.ts')
  return { dedup, contamination: await ContaminationCheck.create(files, contamination.options) }
}

const work: { [Type in WorkerTask['type']]: (task: Extract<WorkerTask, { type: Type }>) => Promise<unknown> } = {
  read: async (task) => (await (documents ??= createDocumentWorker())).read(task),
  documents: async (task) => (await (documents ??= createDocumentWorker())).documents(task),
  count: async (task) => (await import('./contamination-stage.ts')).countOverlaps(task),
  write: async (task) => (await import('./write-task.ts')).writePart(task, await (writing ??= createWriteStages(task))),
}

serveTasks(async (task: WorkerTask) => {
  try {
    await work[task.type](task as never)
  } catch (error) {
    throw explainFault(error)
  }
})
