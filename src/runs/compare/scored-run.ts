// A finished run with the scores of its model, and the records that it was scored on. Runs no model.
import { join } from 'node:path'
import { DataError, programCall } from '../../core/index.ts'
import type { TaskPrediction, TaskRecord } from '../../tasks/index.ts'
import { modelFiles, runFiles } from '../../tracking/index.ts'
import type { DeclaredData } from '../engine/data-sets.ts'
import { hashOfRecords } from '../engine/data-splits.ts'
import { type Evaluation, readEvaluation } from '../engine/evaluation-files.ts'
import type { RunComparison, RunRecipe } from '../engine/run-kind.ts'
import { kindOf } from '../kinds.ts'
import { readRunRecipe } from '../run-recipe.ts'

/** A recipe of a run on a base. */
export interface BaseRunRecipe extends RunRecipe {
  base: string
  data: DeclaredData
  validation?: string
  variant: string
  randomInit?: boolean
}

/** A run that can be compared. */
export interface ScoredRun {
  folder: string
  recipe: BaseRunRecipe
  comparison: RunComparison<RunRecipe>
  evaluation: Evaluation
}

/** @throws DataError for a folder without a finished run of a kind that is scored on records */
export const openScoredRun = async (folder: string): Promise<ScoredRun> => {
  const recipe = (await readRunRecipe(folder)) as BaseRunRecipe
  const { comparison } = kindOf(recipe.command)
  if (comparison === undefined)
    throw new DataError(
      `${folder}: Expected a fine-tuning run or an alignment run, found one of \`${recipe.command}\`. Fine-tune its model on a task, and compare that run.`,
    )
  const evaluation = await readEvaluation(join(folder, runFiles.model))
  if (evaluation === undefined)
    throw new DataError(
      `${folder}: Expected a finished run, found no ${runFiles.model}/${modelFiles.evaluation}. Finish it: \`${programCall('resume', folder)}\`.`,
    )
  return { folder, recipe, comparison, evaluation }
}

/** The records that a run was scored on. @param name of the run in messages @throws DataError if they have changed since */
export const scoredRecords = async (
  { folder, recipe, comparison, evaluation }: ScoredRun,
  name: string,
): Promise<TaskRecord[]> => {
  const validation = await comparison.records(recipe)
  if (hashOfRecords(validation) === evaluation.records?.sha256) return validation
  throw new DataError(
    `Expected the records that ${name} was scored on, found others: the file has changed since. Restore it to compare.`,
    validation.at(0)?.file ?? folder,
  )
}

/** The predictions of a run for its records. @throws DataError for a missing or damaged file */
export const scoredPredictions = (
  { folder, recipe, comparison }: ScoredRun,
  records: readonly TaskRecord[],
): Promise<TaskPrediction[]> =>
  comparison.predictions(join(folder, runFiles.model, modelFiles.predictions), records, recipe)
