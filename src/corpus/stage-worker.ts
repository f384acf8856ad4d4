// The worker thread of a build: takes tasks of any phase, one after the other, and leaves files and entries behind.

import { workerData } from 'node:worker_threads'
import { serveTasks } from '../core/index.ts'
import { DocumentWorker } from './document-task.ts'
import { createFinalStages } from './final-stages.ts'
import { explainFault } from './machine-fault.ts'
import type { WorkerSettings, WorkerTask } from './phase-runner.ts'
import { registeredSources } from './settings.ts'
import { type WriteStages, writePart } from './write-task.ts'

const { settings } = workerData as WorkerSettings

// Filters and decontamination indexes take time and memory to make; each is made when first needed and kept.
let documents: Promise<DocumentWorker> | undefined
let writing: Promise<WriteStages> | undefined

function documentWorker(): Promise<DocumentWorker> {
  documents ??= DocumentWorker.create(settings, registeredSources())
  return documents
}

const work: { [Type in WorkerTask['type']]: (task: Extract<WorkerTask, { type: Type }>) => Promise<unknown> } = {
  read: async (task) => (await documentWorker()).read(task),
  documents: async (task) => (await documentWorker()).documents(task),
  write: async (task) => {
    writing ??= createFinalStages(settings)
    return writePart(task, await writing)
  },
}

serveTasks(async (task: WorkerTask) => {
  try {
    await work[task.type](task as never)
  } catch (error) {
    throw explainFault(error)
  }
})
