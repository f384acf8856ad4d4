// The process that reads batches for `BatchRowsProcess`: it loads models, so that neither their time nor their memory is the caller's.
import { lowerPriority, packError } from '../../core/index.ts'
import { setThreads } from '../../tensor/index.ts'
import type { BatchAnswer, BatchQuestion } from './batch-rows-process.ts'
import { BatchReader } from './read-batch.ts'

lowerPriority()
setThreads(1)
process.on('disconnect', () => process.exit(0))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

const reader = new BatchReader()
let previous: Promise<unknown> = Promise.resolve()

const answer = async ({ id, folder, step }: BatchQuestion): Promise<void> => {
  let message: BatchAnswer
  try {
    message = { id, rows: await reader.read(folder, step) }
  } catch (error) {
    message = { id, error: packError(error) }
  }
  process.send?.(message)
}

process.on('message', (question: BatchQuestion) => {
  previous = previous.then(() => answer(question))
})
