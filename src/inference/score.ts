// `score` as a function: the official metrics of a task for predictions that any program made. Runs no model.
import { optionCheck } from '../core/index.ts'
import {
  type Difference,
  findTask,
  pairedDifferences,
  type ReadReport,
  readPredictions,
  type ScoreIntervals,
  scoreIntervals,
  scoreRecords,
  taskConfig,
} from '../tasks/index.ts'

/** Which predictions are scored against which references. */
export interface ScoreInput {
  task: string
  /** File or folder with the references. */
  references: string
  /** Predictions: JSON lines with an id and a prediction, JSON by id, separated values, CoNLL, or a line for each record. */
  predictions: string
  /** Predictions to compare with: whether the first differ from these by more than chance. */
  against?: string
  /** Questions: JSON file with the probability of no answer, by id. */
  naProbabilities?: string
  /** Known data set whose format the references have, such as `sst2` or `squad-v2`. */
  dataset?: string
  /** Settings of the task: columns and format of the references. */
  settings?: Record<string, unknown>
  /** Seed of the bootstrap. */
  seed?: number
  /** Bootstrap resamples (default: 1000). */
  resamples?: number
  /** Confidence level of the intervals (default: 0.95). */
  confidence?: number
  signal?: AbortSignal | undefined
}

const expectInput = optionCheck<ScoreInput>('score', {
  task: true,
  references: true,
  predictions: true,
  against: true,
  naProbabilities: true,
  dataset: true,
  settings: true,
  seed: true,
  resamples: true,
  confidence: true,
  signal: true,
})

/** Metrics with confidence intervals. */
export interface ScoreResult {
  task: string
  records: number
  /** Records that could not be used, by reason. */
  skipped: ReadReport['skipped']
  /** The task's main metric. */
  mainMetric: string
  metrics: ScoreIntervals
  /** Results that are more than a number, such as a confusion matrix. */
  details: { [name: string]: unknown }
  /** Differences between `predictions` and `against`, where both are given. */
  differences?: { [metric: string]: Difference }
}

/**
 * Scores predictions by a task's official metrics.
 * @throws ConfigError for an unknown task or setting, DataError with file and line for predictions that do not fit the references
 */
export const score = async (input: ScoreInput): Promise<ScoreResult> => {
  expectInput(input)
  const { task: name, references, predictions: path, against, naProbabilities, dataset, settings } = input
  const { seed, resamples, confidence, signal } = input
  const intervals = { seed, resamples, confidence }
  const task = findTask(name)
  const config = taskConfig(task, settings, dataset)
  const { records, report } = await task.read(references, config, { signal })
  const predictions = await readPredictions(path, task, records, config, { noAnswer: naProbabilities })
  const scored = scoreRecords(task, records, predictions, config)
  const result: ScoreResult = {
    task: name,
    records: records.length,
    skipped: report.skipped,
    mainMetric: task.mainMetric(config),
    metrics: scoreIntervals(scored, intervals),
    details: scored.details(),
  }
  if (against !== undefined) {
    const others = await readPredictions(against, task, records, config)
    const both = scoreRecords(task, [...records, ...records], [...predictions, ...others], config)
    result.differences = pairedDifferences(both, intervals)
  }
  return result
}
