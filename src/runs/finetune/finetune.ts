// Fine-tuning as a function.
import { isDeepStrictEqual } from 'node:util'
import { ConfigError, parseConfig, show } from '../../core/index.ts'
import { trainingSchema } from '../../training/index.ts'
import { execute, expectNewFolder, type RunListener, type RunResult } from '../engine/execute.ts'
import { finetuneKind } from './build.ts'
import { type FinetuneInput, type FinetuneRecipe, finetuneSchema, taskOf } from './recipe.ts'

const isEmpty = (fields: object) => Object.values(fields).every((value) => value === undefined)

/**
 * Makes a specialist of a base. Unless said otherwise: three passes, 32 examples a step, an evaluation after each pass, and the
 * checkpoint with the best main metric of the task is the model.
 */
export const finetune = async (input: FinetuneInput, listener: RunListener = {}): Promise<RunResult> => {
  const recipe = completeRecipe(input)
  await expectNewFolder(recipe.out)
  return execute(finetuneKind, recipe, 'fresh', listener)
}

/** The recipe with everything that is left out. Opens no file. @throws ConfigError for settings that do not fit each other */
export const completeRecipe = (input: object): FinetuneRecipe => {
  const recipe = parseConfig(finetuneSchema, { ...input, command: 'finetune' }, 'finetune')
  const { task, config } = taskOf(recipe)
  if (finetuneKind.nonIterative?.(recipe) !== undefined) {
    expectNoSteps(recipe)
    return recipe
  }
  expectPrecision(recipe)
  if (recipe.batch.sequences === undefined && recipe.batch.tokens === undefined) recipe.batch.sequences = 32
  if (isEmpty(recipe.budget)) recipe.budget.epochs = 3
  if (recipe.keep.best === undefined) recipe.keep.best = task.mainMetric(config)
  return recipe
}

/** @throws ConfigError for an arithmetic that a base held in fewer bits has not */
const expectPrecision = ({ frozenWeights, precision }: FinetuneRecipe): void => {
  if (precision !== 'float32' && frozenWeights !== 'float32')
    throw new ConfigError(
      `Expected float32 for \`precision\` or for \`frozenWeights\`, got ${precision} and ${frozenWeights}. A base held in fewer bits computes in float32.`,
    )
}

/** Training settings that count for work that is done at once as well. */
const counts = ['seed', 'precision', 'memoryBudget']

/** @throws ConfigError that lists every setting of steps, or of the head that they train, that was changed */
const expectNoSteps = (recipe: FinetuneRecipe): void => {
  const { variant, base, task, data, out } = recipe
  const plain = parseConfig(finetuneSchema, { command: 'finetune', base, task, data, out }, 'finetune')
  const faults = ([...Object.keys(trainingSchema.shape), 'newHead', 'priorBias'] as (keyof typeof plain)[])
    .filter((name) => !counts.includes(name) && !isDeepStrictEqual(recipe[name], plain[name]))
    .map(
      (name) =>
        `Expected no \`${name}\` with the variant ${variant}, which has no steps, got ${show(recipe[name])}. It would have no effect; remove it.`,
    )
  if (faults.length > 0) throw new ConfigError(faults)
}
