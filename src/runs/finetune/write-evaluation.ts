// The evaluation of a specialist in the folder of its model, with the scores of predictions that take no training. Independent of the task;
// runs no model.
import { createRandom } from '../../core/index.ts'
import { scoreIntervals, type TaskDefinition, type TaskRecord, type TaskResult } from '../../tasks/index.ts'
import { type ReferenceScores, writeEvaluationFiles } from '../engine/evaluation-files.ts'

/** What an evaluation is written from. */
export interface EvaluationInput {
  task: TaskDefinition
  config: object
  records: { train: readonly TaskRecord[]; validation: readonly TaskRecord[] }
  result: TaskResult
  /** Of the base before training, with a new head as it was initialised. */
  untrained?: TaskResult
  labels: readonly string[]
  parameters: { trained: number; total: number }
  /** Of the references that use random numbers. */
  seed: number | string
}

/** Writes evaluation.json, timing.json and predictions.jsonl into the folder of a model. */
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
  await writeEvaluationFiles(folder, { result, records: validation, labels, parameters, references })
}
