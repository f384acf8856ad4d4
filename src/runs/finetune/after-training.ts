// What a task measures once a model is trained, applied: settings and head options that are saved with the specialist, and its
// predictions and scores with them. Independent of tasks and variants.
import type { HeadOptions } from '../../models/index.ts'
import { scoreIntervals, type TaskDefinition, type TaskRecord, type TaskResult } from '../../tasks/index.ts'

/** The result of a specialist with what was measured on its validation records. */
export interface MeasuredSpecialist {
  result: TaskResult
  /** Settings of the task, with those that were fitted. */
  config: object
  headOptions: Pick<HeadOptions, 'rewardScale'> | undefined
}

/** Applies what the task measures on the validation records. */
export const measureSpecialist = (
  task: TaskDefinition,
  records: readonly TaskRecord[],
  result: TaskResult,
  config: object,
  labels: readonly string[],
): MeasuredSpecialist => {
  const measured = task.afterTraining?.(records, result.predictions, config)
  if (measured === undefined) return { result, config, headOptions: undefined }
  const { predictions, headOptions, settings, fitted } = measured
  if (settings === undefined) return { result: { ...result, predictions }, config, headOptions }
  const own = { ...config, ...settings }
  const scored = task.score(records, predictions, own, labels)
  return {
    result: {
      ...result,
      predictions,
      metrics: scoreIntervals(scored),
      details: { ...scored.details(), ...(fitted === undefined ? {} : { fitted }) },
    },
    config: own,
    headOptions,
  }
}
