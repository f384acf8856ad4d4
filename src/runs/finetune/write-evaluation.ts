// The evaluation of a specialist in the folder of its model, with the scores of predictions that take no training. Independent of the task;
// runs no model.
import { createRandom } from '../../core/index.ts'
import {
  type RecordStatistics,
  scoreIntervals,
  type TaskDefinition,
  type TaskRecord,
  type TaskResult,
} from '../../tasks/index.ts'
import { type ReferenceScores, writeEvaluationFiles } from '../engine/evaluation-files.ts'
import { finalScores, untrainedBase } from '../engine/final-scores.ts'
import type { FinalScores } from '../engine/run-kind.ts'

/** What an evaluation is written from. */
export interface EvaluationInput {
  task: TaskDefinition
  config: object
  /** Statistics of the training records. */
  trained: RecordStatistics
  validation: readonly TaskRecord[]
  result: TaskResult
  /** Of the base before training, with a new head as it was initialised. */
  untrained?: TaskResult
  labels: readonly string[]
  parameters: { trained: number; total: number }
  /** Of the references that use random numbers. */
  seed: number | string
}

/** Scores of the task's baselines and of the untrained base on the validation records. */
const referencesOf = ({
  task,
  config,
  trained,
  validation,
  untrained,
  labels,
  seed,
}: EvaluationInput): ReferenceScores[] => {
  const baselines = task.baselines?.(trained, validation, config, createRandom(`baselines/${seed}`)) ?? []
  return [
    ...baselines.map(({ name, predictions }) => ({
      name,
      metrics: scoreIntervals(task.score(validation, predictions, config, labels)),
    })),
    ...(untrained === undefined ? [] : [{ name: untrainedBase, metrics: untrained.metrics }]),
  ]
}

/** Writes evaluation.json, timing.json and predictions.jsonl into the folder of a model, and returns what they amount to. */
export const writeEvaluation = async (folder: string, input: EvaluationInput): Promise<FinalScores> => {
  const { task, config, validation, result, labels, parameters } = input
  const references = referencesOf(input)
  await writeEvaluationFiles(folder, { result, records: validation, labels, parameters, references })
  return finalScores(result, references, task.warnings?.(validation, result.predictions, config))
}
