// Finished runs with the scores of their models, the records that they were scored on, and whether and where two of them differ by more than
// chance. Runs no model.
import { join, relative } from 'node:path'
import { DataError, programCall, TunesmithError } from '../../core/index.ts'
import { pairedDifferences, type TaskPrediction, type TaskRecord } from '../../tasks/index.ts'
import { isLowerBetter, modelFiles, runFiles } from '../../tracking/index.ts'
import type { DeclaredData } from '../engine/data-sets.ts'
import { type Evaluation, readEvaluation } from '../engine/evaluation-files.ts'
import type { RunComparison, RunRecipe } from '../engine/run-kind.ts'
import { factsOfRecords, recordParts } from '../examples/run-data.ts'
import { kindOf, readRunRecipe } from '../kinds.ts'

export interface BaseRunRecipe extends RunRecipe {
  base: string
  data: DeclaredData
  validation?: string
  variant: string
  randomInit?: boolean
}

/** A run that can be compared, or one of its tasks. */
export interface ScoredRun {
  folder: string
  /** Name of the task, of a run of several. */
  task?: string
  /** Folder of the model with its scores. */
  model: string
  recipe: BaseRunRecipe
  comparison: RunComparison<RunRecipe>
  evaluation: Evaluation
}

/** @throws DataError for a run that has no scores yet */
const evaluationOf = async (folder: string, model: string): Promise<Evaluation> => {
  const evaluation = await readEvaluation(model)
  if (evaluation !== undefined) return evaluation
  throw new DataError(
    `${folder}: Expected a finished run, found no ${relative(folder, join(model, modelFiles.evaluation))}. Finish it: \`${programCall('resume', folder)}\`.`,
  )
}

/** The run in a folder, or its tasks, of which each is scored alone. @throws DataError for a folder without a finished run of such a kind */
export const openScoredRuns = async (folder: string): Promise<ScoredRun[]> => {
  const recipe = await readRunRecipe(folder)
  const { comparison, parts } = kindOf(recipe.command)
  const model = join(folder, runFiles.model)
  if (parts !== undefined)
    return Promise.all(
      parts(recipe).map(async ({ name, recipe: own, comparison: by }): Promise<ScoredRun> => {
        const ofTask = join(model, name)
        const evaluation = await evaluationOf(folder, ofTask)
        return { folder, task: name, model: ofTask, recipe: own as BaseRunRecipe, comparison: by, evaluation }
      }),
    )
  if (comparison === undefined)
    throw new DataError(
      `${folder}: Expected a fine-tuning run or an alignment run, found one of \`${recipe.command}\`. Fine-tune its model on a task, and compare that run.`,
    )
  const evaluation = await evaluationOf(folder, model)
  return [{ folder, model, recipe: recipe as BaseRunRecipe, comparison: comparison(recipe), evaluation }]
}

/** @throws DataError for a folder without a finished run of a kind that is scored on records, or with a run of several tasks */
export const openScoredRun = async (folder: string): Promise<ScoredRun> => {
  const [run, ...more] = await openScoredRuns(folder)
  if (more.length === 0) return run
  throw new DataError(
    `${folder}: Expected a run of one task, found ${[run, ...more].map(({ task }) => task).join(', ')}. Compare such runs by \`${programCall('compare')}\`.`,
  )
}

/** The records that a run was scored on. @param name of the run in messages @throws DataError if they have changed since */
export const scoredRecords = async (
  { folder, recipe, comparison, evaluation }: ScoredRun,
  name: string,
): Promise<TaskRecord[]> => {
  const validation = await comparison.records(recipe)
  if (factsOfRecords(validation).sha256 === evaluation.records?.sha256) return validation
  throw new DataError(
    `Expected the records that ${name} was scored on, found others: the file has changed since. Restore it to compare.`,
    validation.at(0)?.file ?? folder,
  )
}

/** The predictions of a run for its records. @throws DataError for a missing or damaged file */
export const scoredPredictions = (
  { model, recipe, comparison }: ScoredRun,
  records: readonly TaskRecord[],
): Promise<TaskPrediction[]> => comparison.predictions(join(model, modelFiles.predictions), records, recipe)

/** The difference of two runs with its confidence interval. */
export interface ComparedDifference {
  /** Name of the other run. */
  to: string
  /** This run minus the other. */
  value: number
  low: number
  high: number
  /** Two-sided p-value: how often chance alone gives a difference as large. */
  probability: number
}

interface Side extends ScoredRun {
  name: string
  metric: string
}

/** Differences between pairs of runs that were scored on the same records, which are read once. `faults` reports what was missing. */
export const createPairs = ({ resamples = 1000, seed = 0 }: { resamples?: number; seed?: number }) => {
  const faults: string[] = []
  let known: Promise<TaskRecord[] | undefined> | undefined
  const predictions = new Map<string, Promise<TaskPrediction[] | undefined>>()
  const done = new Map<string, ComparedDifference>()
  const orFault = async <Value>(value: Promise<Value>): Promise<Value | undefined> => {
    try {
      return await value
    } catch (error) {
      if (!(error instanceof TunesmithError)) throw error
      faults.push(`No significance: ${error.message}`)
      return undefined
    }
  }
  const predictionsOf = (side: Side, records: readonly TaskRecord[]) => {
    let found = predictions.get(side.model)
    if (found === undefined) predictions.set(side.model, (found = orFault(scoredPredictions(side, records))))
    return found
  }
  return {
    faults,
    /** Undefined if predictions or records are missing. */
    async difference(run: Side, other: Side): Promise<ComparedDifference | undefined> {
      const key = `${run.model}\0${other.model}`
      const before = done.get(key)
      if (before !== undefined) return before
      if (run.evaluation.records === undefined || other.evaluation.records === undefined) return undefined
      known ??= orFault(scoredRecords(other, other.name))
      const records = await known
      if (records === undefined) return undefined
      const [own, others] = [await predictionsOf(run, records), await predictionsOf(other, records)]
      if (own === undefined || others === undefined) return undefined
      const twice = [...records, ...records]
      const both = run.comparison.score(twice, [...own, ...others], run.recipe, run.evaluation.labels)
      const found = pairedDifferences(both, { resamples, seed })[run.metric]
      const { value, low, high, randomization: probability } = found
      const difference = { to: other.name, value, low, high, probability }
      done.set(key, difference)
      return difference
    },
  }
}

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
