// Fine-tuning as a function.
import { parseConfig } from '../core/index.ts'
import { type TaskDefinition, taskConfig, tasks } from '../tasks/index.ts'
import { execute, expectNewFolder, type RunListener, type RunResult } from './execute.ts'
import { type FinetuneInput, finetuneSchema } from './finetune-recipe.ts'

const isEmpty = (fields: object) => Object.values(fields).every((value) => value === undefined)

/**
 * Makes a specialist of a base. Unless said otherwise: three passes, 32 examples a step, an evaluation after each pass, and the
 * checkpoint with the best main metric of the task is the model.
 */
export const finetune = async (input: FinetuneInput, listener: RunListener = {}): Promise<RunResult> => {
  const recipe = parseConfig(finetuneSchema, { ...input, command: 'finetune' }, 'finetune')
  const task = tasks[recipe.task] as unknown as TaskDefinition
  if (recipe.batch.sequences === undefined && recipe.batch.tokens === undefined) recipe.batch.sequences = 32
  if (isEmpty(recipe.budget)) recipe.budget.epochs = 3
  if (recipe.keep.best === undefined)
    recipe.keep.best = task.mainMetric(taskConfig(task, recipe.settings, recipe.dataset))
  await expectNewFolder(recipe.out)
  return execute(recipe, 'fresh', listener)
}
