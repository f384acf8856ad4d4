// The evaluation of a specialist in the folder of its model, with the scores of predictions that take no training. Independent of the task;
// runs no model.
import { createRandom } from '../../core/index.ts'
import {
  type RecordStatistics,
  type ScoreIntervals,
  scoreIntervals,
  type TaskDefinition,
  type TaskPrediction,
  type TaskRecord,
  type TaskResult,
} from '../../tasks/index.ts'
import { metricOfSet } from '../../tracking/index.ts'
import { type ReferenceScores, writeEvaluationFiles } from '../engine/evaluation-files.ts'
import { finalScores, untrainedBase } from '../engine/final-scores.ts'
import type { FinalScores } from '../engine/run-kind.ts'
import type { ValidationSet } from './several-sets.ts'

/** What is scored. */
interface ScoredData {
  task: TaskDefinition
  config: object
  /** Statistics of the training records. */
  trained: RecordStatistics
  validation: readonly TaskRecord[]
  /** Which of them are of which data set; empty for a single one. */
  validationSets: readonly ValidationSet[]
  /** Of the head that predicts. */
  labels: readonly string[]
}

/** What an evaluation is written from. */
export interface EvaluationInput extends ScoredData {
  result: TaskResult
  /** Of the base before training, with a new head as it was initialised. */
  untrained?: TaskResult
  parameters: { trained: number; total: number }
  /** Of the references that use random numbers. */
  seed: number | string
}

/** Scores of predictions on the records of each data set: `accuracy/reviews`. Sets without a record have none. */
export const scoreSets = (
  { task, config, validation, validationSets, labels }: Omit<ScoredData, 'trained'>,
  predictions: readonly TaskPrediction[],
): ScoreIntervals => {
  const found: ScoreIntervals = {}
  for (const { name, numbers } of validationSets) {
    const own = numbers.filter((number) => number < validation.length)
    if (own.length === 0) continue
    const [records, theirs] = [own.map((number) => validation[number]), own.map((number) => predictions[number])]
    for (const [metric, interval] of Object.entries(scoreIntervals(task.score(records, theirs, config, labels))))
      found[metricOfSet(metric, name)] = interval
  }
  return found
}

/** Scores of the task's baselines and of the untrained base on the validation records. */
const referencesOf = (input: EvaluationInput): ReferenceScores[] => {
  const { task, config, trained, validation, untrained, labels, seed } = input
  const baselines = task.baselines?.(trained, validation, config, createRandom(`baselines/${seed}`)) ?? []
  return [
    ...baselines.map(({ name, predictions }) => ({
      name,
      metrics: {
        ...scoreIntervals(task.score(validation, predictions, config, labels)),
        ...scoreSets(input, predictions),
      },
    })),
    ...(untrained === undefined ? [] : [{ name: untrainedBase, metrics: untrained.metrics }]),
  ]
}

/** Writes evaluation.json, timing.json and predictions.jsonl into the folder of a model, and returns what they amount to. */
export const writeEvaluation = async (folder: string, input: EvaluationInput): Promise<FinalScores> => {
  const { task, config, validation, result, labels, parameters } = input
  const references = referencesOf(input)
  await writeEvaluationFiles(folder, { result, records: validation, labels, parameters, references })
  return finalScores(result, references, { warnings: task.warnings?.(validation, result.predictions, config) })
}
