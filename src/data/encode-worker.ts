// A worker thread that encodes batches of documents.
import { workerData } from 'node:worker_threads'
import { serveTasks } from '../core/index.ts'
import { createEncoder, type EncodedBatch, type EncodeTaskSettings } from './encode-task.ts'

const encoder = createEncoder(workerData as EncodeTaskSettings)

serveTasks(async (texts: readonly string[]): Promise<EncodedBatch> => (await encoder)(texts), {
  transfer: ({ train, validation }) =>
    [train, validation].flatMap(({ ids, ends }) => [ids.buffer as ArrayBuffer, ends.buffer as ArrayBuffer]),
})
