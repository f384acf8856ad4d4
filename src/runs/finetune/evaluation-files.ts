// What an evaluation of a specialist leaves beside its model: scores with references to hold them against, and what was said of each
// record. Knows no task and runs no model.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createRandom, DataError, sha256 } from '../../core/index.ts'
import {
  type ScoreIntervals,
  scoreIntervals,
  type TaskDefinition,
  type TaskRecord,
  type TaskResult,
} from '../../tasks/index.ts'

export const EVALUATION_FILE = 'evaluation.json'
export const PREDICTIONS_FILE = 'predictions.jsonl'

/** Scores of answers that take no training, of the same records. */
export interface ReferenceScores {
  /** `majority class`, `untrained base` … */
  name: string
  metrics: ScoreIntervals
}

/** The content of evaluation.json. */
export interface Evaluation extends Omit<TaskResult, 'predictions'> {
  /** Names of the head's labels, in the order of their numbers. */
  labels?: string[]
  /** What was judged: how many records, and the SHA-256 of all that is in them. */
  records?: { count: number; sha256: string }
  parameters?: { trained: number; total: number }
  references?: ReferenceScores[]
}

export interface EvaluationInput {
  task: TaskDefinition
  config: object
  records: { train: readonly TaskRecord[]; validation: readonly TaskRecord[] }
  result: TaskResult
  /** Of the base before training, with a new head as it was drawn. */
  untrained?: TaskResult
  labels: readonly string[]
  parameters: { trained: number; total: number }
  /** Of the references that draw. */
  seed: number | string
}

/** Of the ids, the questions and what is right, whatever the files are called. */
export const hashOfRecords = (records: readonly TaskRecord[]): string =>
  sha256(records.map(({ file: _, line: __, ...content }) => JSON.stringify(content)).join('\n'))

export const writeEvaluation = async (folder: string, input: EvaluationInput): Promise<void> => {
  const { task, config, records, result, untrained, labels, parameters, seed } = input
  const { train, validation } = records
  const references: ReferenceScores[] = (
    task.baselines?.(train, validation, config, createRandom(`baselines/${seed}`)) ?? []
  ).map(({ name, predictions }) => ({
    name,
    metrics: scoreIntervals(task.score(validation, predictions, config, labels)),
  }))
  if (untrained !== undefined) references.push({ name: 'untrained base', metrics: untrained.metrics })
  const { predictions, ...summary } = result
  const evaluation: Evaluation = {
    ...summary,
    labels: [...labels],
    records: { count: validation.length, sha256: hashOfRecords(validation) },
    parameters,
    references,
  }
  await writeFile(join(folder, EVALUATION_FILE), `${JSON.stringify(evaluation, null, 2)}\n`)
  const lines = predictions.map((prediction) => `${JSON.stringify(prediction)}\n`)
  await writeFile(join(folder, PREDICTIONS_FILE), lines.join(''))
}

/** Undefined where there is none. @throws DataError for a damaged one */
export const readEvaluation = async (folder: string): Promise<Evaluation | undefined> => {
  const path = join(folder, EVALUATION_FILE)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const evaluation = JSON.parse(text) as Evaluation
    // What is no number is null in JSON.
    for (const metrics of [evaluation.metrics, ...(evaluation.references ?? []).map((each) => each.metrics)])
      for (const interval of Object.values(metrics))
        for (const bound of ['value', 'low', 'high'] as const) interval[bound] ??= Number.NaN
    return evaluation
  } catch (error) {
    throw new DataError(`Expected an evaluation, got ${(error as Error).message}. Evaluate the model again.`, path)
  }
}
