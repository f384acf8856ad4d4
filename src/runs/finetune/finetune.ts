// Fine-tuning as a function.
import { isDeepStrictEqual } from 'node:util'
import { ConfigError, parseConfig, show } from '../../core/index.ts'
import { trainingSchema } from '../../training/index.ts'
import { absoluteData, absoluteModel } from '../engine/absolute-paths.ts'
import { expectPrecision, fillDefaults } from '../engine/base-settings.ts'
import { execute } from '../engine/execute.ts'
import { expectSplit } from '../engine/folds.ts'
import { expectNewFolder } from '../engine/run-folder.ts'
import type { RunListener, RunResult } from '../engine/run-listener.ts'
import type { FinetuneInput } from '../recipe-types/index.ts'
import { withModules } from '../use-modules.ts'
import { finetuneKind } from './build.ts'
import { type FinetuneRecipe, finetuneSchema, taskOf } from './recipe.ts'

/**
 * Fine-tunes a base on a task, in a new folder. By default: three epochs, 32 examples a step, an evaluation after each epoch, and the
 * checkpoint with the best main metric of the task becomes the model.
 * @throws ConfigError for settings that do not fit each other, DataError for data that cannot be read
 */
export const finetune = async (input: FinetuneInput, listener: RunListener = {}): Promise<RunResult> => {
  const recipe = await resolveFinetuning(input)
  await expectNewFolder(recipe.out)
  return execute(finetuneKind, recipe, 'new', listener)
}

/** The recipe with every default filled in and absolute paths. @throws ConfigError for settings that do not fit each other */
export const resolveFinetuning = async (input: object): Promise<FinetuneRecipe> => {
  const recipe = completeRecipe(await withModules(input))
  recipe.data = absoluteData(recipe.data)
  if (recipe.validation !== undefined) recipe.validation = absoluteData(recipe.validation)
  recipe.tokenizer = await absoluteModel(recipe.tokenizer)
  recipe.base = await absoluteModel(recipe.base)
  return recipe
}

/** The recipe with every default filled in. Opens no file. @throws ConfigError for settings that do not fit each other */
export const completeRecipe = (input: object): FinetuneRecipe => {
  const recipe = parseConfig(finetuneSchema, { ...input, command: 'finetune' }, 'finetune')
  const { task, config } = taskOf(recipe)
  expectSplit(recipe.split, recipe, finetuneSchema.shape.validationShare.parse(undefined))
  if (finetuneKind.nonIterative?.(recipe) !== undefined) {
    expectNoSteps(recipe)
    return recipe
  }
  expectPrecision(recipe)
  fillDefaults(recipe, { sequences: 32, epochs: 3, best: task.mainMetric(config) })
  return recipe
}

/** Training settings that apply to a variant without steps too. */
const applicable = ['seed', 'precision', 'memoryBudget', 'use']

/** @throws ConfigError that lists every changed setting of steps, or of the head that they train */
const expectNoSteps = (recipe: FinetuneRecipe): void => {
  const { variant, base, task, data, out } = recipe
  const defaults = parseConfig(finetuneSchema, { command: 'finetune', base, task, data, out }, 'finetune')
  const faults = (
    [
      ...Object.keys(trainingSchema.shape),
      'newHead',
      'priorBias',
      'exampleCache',
      'workers',
    ] as (keyof typeof defaults)[]
  )
    .filter((name) => !applicable.includes(name) && !isDeepStrictEqual(recipe[name], defaults[name]))
    .map(
      (name) =>
        `Expected no \`${name}\` with the variant ${variant}, which has no steps, got ${show(recipe[name])}. It would have no effect; remove it.`,
    )
  if (faults.length > 0) throw new ConfigError(faults)
}
