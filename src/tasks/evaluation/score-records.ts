// Scores of predictions that are in memory, as those of other programs.
import type { ScoredUnits } from '../metrics/scored-units.ts'
import type { TaskDefinition, TaskPrediction, TaskRecord } from '../task.ts'

/** Scores predictions that are in the order of the records. @throws DataError with file and line for a record without a reference answer */
export const scoreRecords = <Config extends object, Record extends TaskRecord, Prediction extends TaskPrediction>(
  task: Pick<TaskDefinition<Config, Record, never, Prediction>, 'scorer'>,
  records: readonly Record[],
  predictions: readonly Prediction[],
  config: Config,
  headLabels?: readonly string[],
): ScoredUnits => {
  const scorer = task.scorer(config, headLabels)
  for (const [i, record] of records.entries()) scorer.add(record, predictions[i])
  return scorer.units()
}
