// The evaluation of a model as files beside it: scores with intervals, scores of references, and the prediction for each record.
// Independent of what was learned; runs no model.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError } from '../../core/index.ts'
import type { ScoreIntervals, TaskSummary } from '../../tasks/index.ts'
import { modelFiles } from '../../tracking/index.ts'
import type { RecordFacts } from './data-splits.ts'

/** Scores of predictions that take no training, on the same records. */
export interface ReferenceScores {
  /** `majority class`, `untrained base` … */
  name: string
  metrics: ScoreIntervals
}

/** The content of evaluation.json. Equal runs give equal content: seconds are in timing.json. */
export interface Evaluation extends Omit<TaskSummary, 'seconds'> {
  /** Names of the head's labels, in the order of their ids. */
  labels?: string[]
  /** Of the scored records. */
  records?: RecordFacts
  parameters?: { trained: number; total: number }
  references?: ReferenceScores[]
}

/** The content of timing.json. */
interface EvaluationTiming {
  /** Encoding, model and decoding. */
  seconds: number
  examplesPerSecond: number
}

/** What an evaluation is written from. */
export interface EvaluationFiles {
  /** Scores and counts. */
  result: TaskSummary
  /** Of the records that were scored. */
  records: RecordFacts
  /** Lines of JSON in the order of the records, in pieces. */
  predictions: AsyncIterable<string | Uint8Array>
  labels?: readonly string[]
  parameters: { trained: number; total: number }
  references: readonly ReferenceScores[]
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

/** Writes evaluation.json, timing.json and predictions.jsonl into the folder of a model. */
export const writeEvaluationFiles = async (
  folder: string,
  { result, records, predictions, labels, parameters, references }: EvaluationFiles,
): Promise<void> => {
  const { seconds, ...summary } = result
  const evaluation: Evaluation = {
    ...summary,
    ...(labels === undefined ? {} : { labels: [...labels] }),
    records,
    parameters,
    references: [...references],
  }
  const timing: EvaluationTiming = { seconds, examplesPerSecond: seconds > 0 ? summary.examples / seconds : 0 }
  await writeFile(join(folder, modelFiles.evaluation), json(evaluation))
  await writeFile(join(folder, modelFiles.timing), json(timing))
  await writeFile(join(folder, modelFiles.predictions), predictions)
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
