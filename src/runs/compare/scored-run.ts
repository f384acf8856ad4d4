// A finished run with the scores of its model, and the records that it was scored on. Runs no model.
import { join, relative } from 'node:path'
import { DataError, programCall } from '../../core/index.ts'
import type { TaskPrediction, TaskRecord } from '../../tasks/index.ts'
import { modelFiles, runFiles } from '../../tracking/index.ts'
import type { DeclaredData } from '../engine/data-sets.ts'
import { factsOfRecords } from '../engine/data-splits.ts'
import { type Evaluation, readEvaluation } from '../engine/evaluation-files.ts'
import type { RunComparison, RunRecipe } from '../engine/run-kind.ts'
import { kindOf, readRunRecipe } from '../kinds.ts'

/** A recipe of a run on a base. */
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
        return {
          folder,
          task: name,
          model: ofTask,
          recipe: own as BaseRunRecipe,
          comparison: by,
          evaluation: await evaluationOf(folder, ofTask),
        }
      }),
    )
  if (comparison === undefined)
    throw new DataError(
      `${folder}: Expected a fine-tuning run or an alignment run, found one of \`${recipe.command}\`. Fine-tune its model on a task, and compare that run.`,
    )
  const evaluation = await evaluationOf(folder, model)
  return [{ folder, model, recipe: recipe as BaseRunRecipe, comparison, evaluation }]
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
