// Where the predictions of two runs differ: record by record, with the score of each. Reads the files of the runs and runs no model.
import { DataError } from '../../core/index.ts'
import type { TaskPrediction, TaskRecord } from '../../tasks/index.ts'
import { isLowerBetter } from '../../tracking/index.ts'
import { recordParts } from '../record-parts.ts'
import { openScoredRun, type ScoredRun, scoredPredictions, scoredRecords } from './scored-run.ts'

/** A record with the predictions of two runs. */
export interface PredictionPair {
  id: string
  /** Fields of the input by name. */
  inputs: [name: string, value: unknown][]
  /** The reference answer as one text. */
  answer: string
  /** The prediction of the first run, then that of the second one, without their ids. */
  predictions: [{ [field: string]: unknown }, { [field: string]: unknown }]
  /** Scores of this record alone; null where the metric is undefined for it. */
  scores: [number | null, number | null]
}

/** The predictions of two runs for the same records. */
export interface PredictionPairs {
  /** The metric of `scores`: the main one of the runs, or another one if that needs many records, as a correlation does. */
  metric: string
  lowerIsBetter: boolean
  /** Whether every score is 0 or 1, so that a prediction is right or wrong. */
  rightOrWrong: boolean
  /** In the order of the data. */
  pairs: PredictionPair[]
}

/** Scores of each record by itself, by metric. */
const scoresOf = (
  { comparison, recipe, evaluation }: ScoredRun,
  records: readonly TaskRecord[],
  predictions: readonly TaskPrediction[],
): Record<string, number>[] =>
  records.map((record, i) => comparison.score([record], [predictions[i]], recipe, evaluation.labels).scores())

/** The first metric that some record has a score of by itself, the main one before all others. */
const metricFor = (main: string, scores: readonly Record<string, number>[]): string => {
  const names = [main, ...Object.keys(scores[0] ?? {})]
  return names.find((name) => scores.some((each) => Number.isFinite(each[name]))) ?? main
}

const expectSameRecords = (run: ScoredRun, other: ScoredRun): void => {
  const [own, others] = [run.evaluation, other.evaluation]
  if (own.records === undefined || own.records.sha256 !== others.records?.sha256)
    throw new DataError(
      `${run.folder} and ${other.folder} were scored on different records: choose runs with the same validation data.`,
    )
  if (own.mainMetric !== others.mainMetric)
    throw new DataError(
      `${run.folder} was scored by ${own.mainMetric}, ${other.folder} by ${others.mainMetric}: choose runs of one task.`,
    )
}

/**
 * Compares the predictions of two runs.
 * @throws DataError for runs that were scored on different records, or whose files are missing
 */
export const comparePredictions = async (folder: string, otherFolder: string): Promise<PredictionPairs> => {
  const [run, other] = [await openScoredRun(folder), await openScoredRun(otherFolder)]
  expectSameRecords(run, other)
  const records = await scoredRecords(run, folder)
  const [own, others] = [await scoredPredictions(run, records), await scoredPredictions(other, records)]
  const [ownScores, otherScores] = [scoresOf(run, records, own), scoresOf(other, records, others)]
  const metric = metricFor(run.evaluation.mainMetric, [...ownScores, ...otherScores])
  const scoreOf = (scores: Record<string, number>) => (Number.isFinite(scores[metric]) ? scores[metric] : null)
  const answerFields = run.comparison.answerFields?.(run.recipe) ?? []
  const fieldsOf = ({ id: _, ...fields }: TaskPrediction): { [field: string]: unknown } => fields
  const pairs = records.map((record, i): PredictionPair => {
    const { inputs, answer } = recordParts(record, answerFields)
    return {
      id: record.id,
      // `fields` is the whole row, whose parts are fields of their own.
      inputs: inputs.filter(([name, value]) => value !== undefined && name !== 'fields'),
      answer,
      predictions: [fieldsOf(own[i]), fieldsOf(others[i])],
      scores: [scoreOf(ownScores[i]), scoreOf(otherScores[i])],
    }
  })
  return {
    metric,
    lowerIsBetter: isLowerBetter(metric),
    rightOrWrong: pairs.every(({ scores }) => scores.every((score) => score === 0 || score === 1)),
    pairs,
  }
}
