// Predictions that are read off a model's logits. Knows no task and no architecture.
import { setImmediate } from 'node:timers/promises'
import type { Model } from '../../models/index.ts'
import { mustPad } from '../../objectives/index.ts'
import { inferenceMode, scope } from '../../tensor/index.ts'
import { exampleBatches, type RecordExample } from '../learning/batches.ts'
import type { DiscriminativeTask, TaskExample, TaskPrediction, TaskRecord } from '../task.ts'

export interface PredictOptions {
  batchTokens: number
  /** Called after each batch. */
  onProgress?(done: { examples: number; of: number }): void
  signal?: AbortSignal
}

export interface Predictions<Prediction> {
  /** In the order of the records. */
  predictions: Prediction[]
  examples: number
  /** Records that an answer was written to, where answers are written. */
  answered?: number
  tokens: number
  /** Tokens that did not fit, of each record. */
  cuts: number[]
}

/** The examples of all records, with other work of the process let through. */
export const encodeAll = async <Record, Example>(
  records: readonly Record[],
  encode: (record: Record) => readonly Example[],
  signal: AbortSignal | undefined,
): Promise<RecordExample<Example>[]> => {
  const items: RecordExample<Example>[] = []
  for (let record = 0; record < records.length; record++) {
    if (record % 64 === 0) {
      await setImmediate()
      signal?.throwIfAborted()
    }
    for (const example of encode(records[record])) items.push({ example, record })
  }
  return items
}

export const predictFromLogits = async <
  Record extends TaskRecord,
  Example extends TaskExample,
  Prediction extends TaskPrediction,
>(
  model: Model,
  { criterion: learner, ...prepared }: DiscriminativeTask<Record, Example, Prediction>,
  records: readonly Record[],
  { batchTokens, onProgress, signal }: PredictOptions,
): Promise<Predictions<Prediction>> => {
  const padded = mustPad(learner, model)
  const items = await encodeAll(records, (record) => prepared.encode(record), signal)
  const outputs = records.map((): { example: Example; logits: Float32Array }[] => [])
  const places = items.map(({ example, record }) => outputs[record].push({ example, logits: new Float32Array(0) }) - 1)
  const { batches, tokens } = exampleBatches(items, learner, model, batchTokens, padded)
  const { device } = model.body.embedTokens.weight
  let done = 0
  for (const part of batches) {
    // Lets signals and progress through between two batches.
    await setImmediate()
    signal?.throwIfAborted()
    const logits = inferenceMode(() =>
      scope(() => {
        const batch = learner.collate(
          part.map((i) => items[i].example),
          { padded, device },
        )
        return prepared.split(model.forward(batch.inputs).logits.to('float32'), batch)
      }),
    )
    part.forEach((i, k) => {
      outputs[items[i].record][places[i]].logits = logits[k]
    })
    done += part.length
    onProgress?.({ examples: done, of: items.length })
  }
  return {
    predictions: records.map((record, i) => prepared.decode(record, outputs[i])),
    examples: items.length,
    tokens,
    cuts: outputs.map((each) => each.reduce((sum, { example }) => sum + example.truncatedTokens, 0)),
  }
}
