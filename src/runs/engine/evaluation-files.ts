// The evaluation of a model as files beside it: scores with intervals, scores of references, and the prediction for each record.
// Independent of what was learned; runs no model.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError } from '../../core/index.ts'
import type { ScoreIntervals, TaskRecord, TaskResult } from '../../tasks/index.ts'
import { modelFiles } from '../../tracking/index.ts'
import { hashOfRecords } from './data-splits.ts'

/** Scores of predictions that take no training, on the same records. */
export interface ReferenceScores {
  /** `majority class`, `untrained base` … */
  name: string
  metrics: ScoreIntervals
}

/** The content of evaluation.json. Equal runs give equal content: seconds are in timing.json. */
export interface Evaluation extends Omit<TaskResult, 'predictions' | 'seconds'> {
  /** Names of the head's labels, in the order of their ids. */
  labels?: string[]
  /** The number of scored records, and the SHA-256 of their content. */
  records?: { count: number; sha256: string }
  parameters?: { trained: number; total: number }
  references?: ReferenceScores[]
}

/** The content of timing.json. */
export interface EvaluationTiming {
  /** Encoding, model and decoding. */
  seconds: number
  examplesPerSecond: number
}

/** What an evaluation is written from. */
export interface EvaluationFiles<Prediction> {
  /** Scores and counts; the predictions are in the order of the records. */
  result: Omit<TaskResult, 'predictions'> & { predictions: readonly Prediction[] }
  /** The records that were scored. */
  records: readonly TaskRecord[]
  labels?: readonly string[]
  parameters: { trained: number; total: number }
  references: readonly ReferenceScores[]
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

/** Writes evaluation.json, timing.json and predictions.jsonl into the folder of a model. */
export const writeEvaluationFiles = async <Prediction>(
  folder: string,
  { result, records, labels, parameters, references }: EvaluationFiles<Prediction>,
): Promise<void> => {
  const { predictions, seconds, ...summary } = result
  const evaluation: Evaluation = {
    ...summary,
    ...(labels === undefined ? {} : { labels: [...labels] }),
    records: { count: records.length, sha256: hashOfRecords(records) },
    parameters,
    references: [...references],
  }
  const timing: EvaluationTiming = { seconds, examplesPerSecond: seconds > 0 ? summary.examples / seconds : 0 }
  await writeFile(join(folder, modelFiles.evaluation), json(evaluation))
  await writeFile(join(folder, modelFiles.timing), json(timing))
  const lines = predictions.map((prediction) => `${JSON.stringify(prediction)}\n`)
  await writeFile(join(folder, modelFiles.predictions), lines.join(''))
}

/** The evaluation in the folder of a model; undefined if there is none. @throws DataError for a damaged file */
export const readEvaluation = async (folder: string): Promise<Evaluation | undefined> => {
  const path = join(folder, modelFiles.evaluation)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const evaluation = JSON.parse(text) as Evaluation
    // JSON writes NaN as null.
    for (const metrics of [evaluation.metrics, ...(evaluation.references ?? []).map((each) => each.metrics)])
      for (const interval of Object.values(metrics))
        for (const bound of ['value', 'low', 'high'] as const) interval[bound] ??= Number.NaN
    return evaluation
  } catch (error) {
    throw new DataError(`Expected an evaluation, got ${(error as Error).message}. Evaluate the model again.`, path)
  }
}
