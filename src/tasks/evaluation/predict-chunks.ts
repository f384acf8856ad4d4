// Predictions for records of any number, chunk by chunk: only a chunk is encoded, and only its predictions are kept until they are taken.
import { setImmediate } from 'node:timers/promises'
import type { RecordSource } from '../records/record-source.ts'
import type { TaskPrediction, TaskRecord } from '../task.ts'
import type { Predictions, PredictOptions } from './predict-from-logits.ts'

/** Takes a record with its prediction, in the order of the records. */
export type TakePrediction<Record extends TaskRecord, Prediction extends TaskPrediction> = (
  record: Record,
  prediction: Prediction,
  truncatedTokens: number,
) => void

/** What happened to the records. */
export interface PredictionCounts {
  /** Examples that went through the model: records, or their windows. */
  examples: number
  /** Records that an answer was generated for, the first ones; scores of answers are over those. Undefined for other tasks. */
  answered?: number
  tokens: number
  /** Tokens that were truncated because a record was too long. */
  truncatedTokens: number
  truncatedRecords: number
}

/** Predictions taken before others may work. */
const turnRecords = 64

/** @param predict predicts a chunk, whose first record has the number `first` */
export const predictChunks = async <Record extends TaskRecord, Prediction extends TaskPrediction>(
  source: RecordSource<Record>,
  size: number,
  predict: (
    chunk: readonly Record[],
    first: number,
    options: Pick<PredictOptions, 'onProgress'>,
  ) => Promise<Predictions<Prediction>>,
  take: TakePrediction<Record, Prediction>,
  onProgress: PredictOptions['onProgress'],
): Promise<PredictionCounts> => {
  const all = { examples: 0, tokens: 0, truncatedTokens: 0, truncatedRecords: 0 }
  let answered: number | undefined
  let first = 0
  for await (const chunk of source.chunks(size)) {
    const left = source.length - first - chunk.length
    const part = await predict(chunk, first, {
      // The examples of later chunks are not known yet: one for each record.
      onProgress: (done) => onProgress?.({ examples: all.examples + done.examples, of: all.examples + done.of + left }),
    })
    for (const [i, record] of chunk.entries()) {
      if (i % turnRecords === turnRecords - 1) await setImmediate()
      take(record, part.predictions[i], part.truncated[i])
    }
    for (const tokens of part.truncated) {
      all.truncatedTokens += tokens
      if (tokens > 0) all.truncatedRecords++
    }
    all.examples += part.examples
    all.tokens += part.tokens
    if (part.answered !== undefined) answered = (answered ?? 0) + part.answered
    first += chunk.length
  }
  const { examples, ...others } = all
  return { examples, ...(answered === undefined ? {} : { answered }), ...others }
}
