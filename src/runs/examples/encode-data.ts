// Encodes the training records of a run into the cache, in a thread that reads and in others that encode. The bytes do not depend on the
// number of threads.

import { loadTokenizer } from '../../checkpoint/index.ts'
import { BatchChannel, runPool } from '../../core/index.ts'
import { findTask, type PreparedTask, type PrepareOptions, type TaskRecord } from '../../tasks/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { useModules } from '../use-modules.ts'
import { cacheEntry, keyOf, tokenizerHash } from './cache-entry.ts'
import { checksum, ExampleEncoder, type Shape } from './example-codec.ts'
import { batchNumbers, type ExampleBytes, ExampleFileWriter } from './example-file.ts'
import {
  addTally,
  batchRecords,
  createBatchEncoder,
  type EncodingTally,
  isInShare,
  isValidation,
  noRecords,
} from './run-data.ts'
import { type RecordsRequest, streamRecords } from './survey-records.ts'

/** How a task encodes. Plain data, for other threads. */
export interface EncodingRequest extends Pick<RecordsRequest, 'task' | 'config' | 'use'> {
  tokenizer: string
  options: Pick<PrepareOptions, 'maxLength' | 'headOptions' | 'facts'>
}

export interface ExamplesRequest extends RecordsRequest, EncodingRequest {
  /** Key of the survey of the same records. */
  survey: string
  /** Threads that encode beside the one that reads; 0: that one encodes too. */
  workers: number
}

export interface RecordBatch {
  records: TaskRecord[]
  /** Number of each record's file. */
  files: number[]
}

export interface EncodedBytes extends ExampleBytes {
  tally: EncodingTally
}

/** A file of examples, and what is known of it. */
export interface ExamplesResult {
  length: number
  shapes: readonly Shape[]
  files: string[]
  tally: EncodingTally
  folder: string
  built: boolean
  problem?: string | undefined
}

export const openTask = async ({ task, config, use, tokenizer: folder, options }: EncodingRequest) => {
  await useModules(use)
  const tokenizer: Tokenizer = await loadTokenizer(folder)
  return { tokenizer, prepared: findTask(task).prepare(tokenizer, config, options) }
}

export const createBytesEncoder = (prepared: PreparedTask, encoder: ExampleEncoder) => {
  const encode = createBatchEncoder(prepared)
  return ({ records, files }: RecordBatch): EncodedBytes => {
    const { examples, sources, tally } = encode(records)
    const numbers = new Uint32Array(examples.length * batchNumbers)
    for (const [i, example] of examples.entries()) {
      const from = encoder.length
      encoder.add(example)
      const source = sources[i]
      const sum = checksum(encoder.bytes, from, encoder.length)
      numbers.set([encoder.length - from, sum, files[source], records[source].line ?? 0], i * batchNumbers)
    }
    return { data: encoder.take(), numbers, tally }
  }
}

/** Groups records into batches, and numbers their files. */
class Batches {
  readonly files: string[] = []
  readonly #numbers = new Map<string, number>()
  readonly #put: (batch: RecordBatch) => Promise<void>
  #batch: RecordBatch = { records: [], files: [] }

  constructor(put: (batch: RecordBatch) => Promise<void>) {
    this.#put = put
  }

  add(record: TaskRecord): void | Promise<void> {
    let number = this.#numbers.get(record.file)
    if (number === undefined) {
      number = this.files.push(record.file) - 1
      this.#numbers.set(record.file, number)
    }
    this.#batch.records.push(record)
    this.#batch.files.push(number)
    if (this.#batch.records.length >= batchRecords) return this.flush()
  }

  async flush(): Promise<void> {
    const batch = this.#batch
    this.#batch = { records: [], files: [] }
    if (batch.records.length > 0) await this.#put(batch)
  }
}

/** Batches as bytes, in order. The first is encoded here, and gives the shapes that all others share. */
async function* encodedBytes(
  batches: AsyncIterable<RecordBatch>,
  prepared: PreparedTask,
  request: ExamplesRequest,
): AsyncGenerator<{ bytes: EncodedBytes; shapes: readonly Shape[] }> {
  const source = batches[Symbol.asyncIterator]()
  const first = await source.next()
  if (first.done) return
  const grown = new ExampleEncoder([], true)
  yield { bytes: createBytesEncoder(prepared, grown)(first.value), shapes: grown.shapes }
  const rest = { [Symbol.asyncIterator]: () => source }
  const { shapes } = grown
  if (request.workers === 0) {
    const encode = createBytesEncoder(prepared, new ExampleEncoder(shapes))
    for await (const batch of rest) yield { bytes: encode(batch), shapes }
    return
  }
  const url = new URL('./encode-worker.ts', import.meta.url)
  const { task, config, use, tokenizer, options } = request
  const workerData: EncodingRequest & { shapes: readonly Shape[] } = { task, config, use, tokenizer, options, shapes }
  const results = runPool<RecordBatch, EncodedBytes>({ url, size: request.workers, tasks: rest, workerData })
  for await (const bytes of results) yield { bytes, shapes }
}

const fill = async (request: ExamplesRequest, prepared: PreparedTask, folder: string) => {
  const { data, validation, validationShare, share, config, progress } = request
  const channel = new BatchChannel<RecordBatch>()
  const batches = new Batches((batch) => channel.put(batch))
  const read = async () => {
    try {
      await streamRecords(findTask(request.task), data, config, (record) => {
        if (validation === undefined && isValidation(record, validationShare)) return
        if (!isInShare(record, share)) return
        return batches.add(record)
      })
      await batches.flush()
      channel.end()
    } catch (error) {
      channel.end({ error })
    }
  }
  const writer = await ExampleFileWriter.create(folder)
  const tally = noRecords()
  let shapes: readonly Shape[] = []
  const reading = read()
  try {
    for await (const part of encodedBytes(channel, prepared, request)) {
      shapes = part.shapes
      await writer.append(part.bytes)
      addTally(tally, part.bytes.tally)
      Atomics.store(progress, 0, tally.records)
    }
  } catch (error) {
    channel.end({ error })
    throw error
  } finally {
    await reading
    await writer.close()
  }
  return { length: writer.count, shapes, files: batches.files, tally }
}

/** Encodes the training records, or finds the examples that an earlier run encoded. */
export const encodeData = async (request: ExamplesRequest): Promise<ExamplesResult> => {
  const { tokenizer, prepared } = await openTask(request)
  const key = keyOf(request.survey, tokenizerHash(tokenizer), request.options)
  const { folder, meta, built, problem } = await cacheEntry(request.cache, `examples-${key}`, (target) =>
    fill(request, prepared, target),
  )
  return { ...meta, folder, built, problem }
}
