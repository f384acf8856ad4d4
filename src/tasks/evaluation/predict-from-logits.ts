// Predictions that are computed from logits, batch by batch. Independent of single tasks and architectures.
import { setImmediate } from 'node:timers/promises'
import { computeByTurns } from '../../distributed/index.ts'
import type { Model } from '../../models/index.ts'
import { mustPad } from '../../objectives/index.ts'
import { inferenceMode, scope } from '../../tensor/index.ts'
import { computeOrHalve, exampleBatches, type RecordExample } from '../learning/batches.ts'
import type {
  DiscriminativeTask,
  ExampleOutput,
  PreparedTask,
  TaskExample,
  TaskPrediction,
  TaskRecord,
} from '../task.ts'
import type { TaskHooks } from './evaluate-task.ts'

export interface PredictOptions extends TaskHooks {
  batchTokens: number
}

export interface Predictions<Prediction> {
  /** In the order of the records. */
  predictions: Prediction[]
  examples: number
  /** Records that an answer was generated for; undefined for tasks without generation. */
  answered?: number
  tokens: number
  truncated: number[]
}

/** Encodes all records, yielding to the event loop every 64. */
export const encodeAll = async <Record, Example>(
  records: readonly Record[],
  encode: (record: Record) => readonly Example[],
  signal: AbortSignal | undefined,
): Promise<RecordExample<Example>[]> => {
  const items: RecordExample<Example>[] = []
  for (let record = 0; record < records.length; record++) {
    if (record % 64 === 63) {
      await setImmediate()
      signal?.throwIfAborted()
    }
    for (const example of encode(records[record])) items.push({ example, record })
  }
  return items
}

/** Collects the outputs of a record's examples and decodes it with the last one, so that logits are freed record by record. */
class RecordDecoder<Record, Example extends TaskExample, Prediction> {
  readonly predictions: Prediction[] = []
  readonly #records: readonly Record[]
  readonly #decode: (record: Record, outputs: readonly ExampleOutput<Example>[]) => Prediction
  readonly #outputs: (ExampleOutput<Example> | undefined)[][]
  readonly #missing: number[]
  /** Position of each item among the examples of its record. */
  readonly #positions: number[]

  constructor(
    records: readonly Record[],
    items: readonly RecordExample<Example>[],
    decode: (record: Record, outputs: readonly ExampleOutput<Example>[]) => Prediction,
  ) {
    this.#records = records
    this.#decode = decode
    this.#outputs = records.map(() => [])
    this.#positions = items.map(({ record }) => this.#outputs[record].push(undefined) - 1)
    this.#missing = this.#outputs.map(({ length }) => length)
    for (const [record, missing] of this.#missing.entries()) if (missing === 0) this.#finish(record)
  }

  add(item: number, { example, record }: RecordExample<Example>, logits: Float32Array): void {
    const isLast = --this.#missing[record] === 0
    // A view would keep the logits of the whole batch until the record's other windows are done.
    this.#outputs[record][this.#positions[item]] = { example, logits: isLast ? logits : logits.slice() }
    if (isLast) this.#finish(record)
  }

  #finish(record: number): void {
    this.predictions[record] = this.#decode(this.#records[record], this.#outputs[record] as ExampleOutput<Example>[])
    this.#outputs[record] = []
  }
}

/** Runs the examples of records through the model and decodes each record when its last example is done. */
export const predictFromLogits = async <Record extends TaskRecord, Prediction extends TaskPrediction>(
  model: Model,
  { criterion, ...prepared }: DiscriminativeTask<Record, TaskExample, Prediction>,
  records: readonly Record[],
  { batchTokens, onProgress, signal, group }: PredictOptions,
): Promise<Predictions<Prediction>> => {
  const padded = mustPad(criterion, model)
  const items = await encodeAll(records, (record) => prepared.encode(record), signal)
  const decoder = new RecordDecoder(records, items, prepared.decode)
  const truncated = records.map(() => 0)
  for (const { example, record } of items) truncated[record] += example.truncatedTokens
  const { batches, tokens } = exampleBatches(items, criterion, model, batchTokens, padded)
  const { device } = model.body.embedTokens
  const logitsOf = (part: readonly number[]): Float32Array[] =>
    inferenceMode(() =>
      scope(() => {
        const batch = criterion.collate(
          part.map((i) => items[i].example),
          { padded, device },
        )
        return prepared.split(model.forward(batch.inputs).logits.to('float32'), batch)
      }),
    )
  const compute = async (part: readonly number[]) => {
    // Signals and progress are handled between two batches.
    await setImmediate()
    signal?.throwIfAborted()
    return computeOrHalve(part, logitsOf)
  }
  let done = 0
  for await (const [part, logits] of computeByTurns(group, batches, compute)) {
    for (const [k, item] of part.entries()) decoder.add(item, items[item], logits[k])
    done += part.length
    onProgress?.({ examples: done, of: items.length })
  }
  return { predictions: decoder.predictions, examples: items.length, tokens, truncated }
}

const mostRecords = 512

/** Records of the largest batch of an evaluation, and of the one with the longest examples. */
export const largestRecords = async <Record extends TaskRecord, Example extends TaskExample>(
  model: Model,
  { criterion, encode }: Pick<PreparedTask<Record, Example>, 'criterion' | 'encode'>,
  records: readonly Record[],
  batchTokens: number,
): Promise<Record[][]> => {
  const looked = records.slice(0, mostRecords)
  const items = await encodeAll(looked, encode, undefined)
  const padded = mustPad(criterion, model)
  const { batches } = exampleBatches(items, criterion, model, batchTokens, padded)
  const sizeOf = (batch: readonly number[]): number => {
    const lengths = batch.map((item) => criterion.tokens(items[item].example))
    return padded ? Math.max(...lengths) * batch.length : lengths.reduce((sum, length) => sum + length, 0)
  }
  const sizes = batches.map(sizeOf)
  const chosen = new Set([sizes.indexOf(Math.max(...sizes)), batches.length - 1])
  return [...chosen].map((batch) => [...new Set(batches[batch].map((item) => looked[items[item].record]))])
}
