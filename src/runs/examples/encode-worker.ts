// A worker thread that encodes batches of records.
import { workerData } from 'node:worker_threads'
import { serveTasks } from '../../core/index.ts'
import {
  createBytesEncoder,
  type EncodedBytes,
  type EncodingRequest,
  openTask,
  type RecordBatch,
} from './encode-data.ts'
import { ExampleEncoder, type Shape } from './example-codec.ts'

const { shapes, ...request } = workerData as EncodingRequest & { shapes: readonly Shape[] }
const encoder = openTask(request).then(({ prepared }) => createBytesEncoder(prepared, new ExampleEncoder(shapes)))

serveTasks(async (batch: RecordBatch): Promise<EncodedBytes> => (await encoder)(batch), {
  transfer: ({ data, numbers }) => [data.buffer as ArrayBuffer, numbers.buffer as ArrayBuffer],
})
