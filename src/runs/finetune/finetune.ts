// Fine-tuning as a function.
import { isDeepStrictEqual } from 'node:util'
import { ConfigError, parseConfig, show } from '../../core/index.ts'
import { trainingSchema } from '../../training/index.ts'
import { absoluteModel, expectPrecision, fillDefaults, settledData } from '../engine/base-settings.ts'
import { dataSetsOf, readDataSets } from '../engine/data-sets.ts'
import { execute } from '../engine/execute.ts'
import { nameFunctions } from '../engine/recipe-functions.ts'
import type { RunListener, RunResult } from '../engine/run-kind.ts'
import { expectNewFolder } from '../engine/run-record.ts'
import { settleTeacher } from '../engine/teacher.ts'
import type { FinetuneInput } from '../recipe-types/index.ts'
import { withModules } from '../use-modules.ts'
import { finetuneKind } from './build.ts'
import { featurePrecision } from './feature-learning.ts'
import { type FinetuneRecipe, finetuneSchema, setsOf, taskOf } from './recipe.ts'

/**
 * Fine-tunes a base on a task, in a new folder. By default: three epochs, 32 examples a step, an evaluation after each epoch, and the
 * checkpoint with the best main metric of the task becomes the model.
 * @throws ConfigError for settings that do not fit each other, DataError for data that cannot be read
 */
export const finetune = async (input: FinetuneInput, listener: RunListener = {}): Promise<RunResult> => {
  const recipe = await resolveFinetuning(input, listener)
  await expectNewFolder(recipe.out)
  return execute(finetuneKind, recipe, 'new', listener)
}

/** The recipe with every default filled in and absolute paths. @throws ConfigError for settings that do not fit each other */
export const resolveFinetuning = async (
  input: object,
  listener: Pick<RunListener, 'onNote'> = {},
): Promise<FinetuneRecipe> => {
  const recipe = completeRecipe(await withModules(input))
  await settlePaths(recipe, listener)
  recipe.tokenizer = await absoluteModel(recipe.tokenizer)
  recipe.base = await absoluteModel(recipe.base)
  recipe.stack = await Promise.all(recipe.stack.map(absoluteModel))
  recipe.distillation = await settleTeacher(recipe.distillation)
  return recipe
}

/** Makes the paths of data absolute, and pins data sets of the Hub. */
export const settlePaths = async (
  recipe: Pick<FinetuneRecipe, 'data' | 'validation'>,
  listener: Pick<RunListener, 'onNote'>,
): Promise<void> => {
  const settled = (path: string) => settledData(path, listener)
  if (typeof recipe.data === 'string') recipe.data = await settled(recipe.data)
  else {
    const sets = dataSetsOf(recipe.data)
    for (const set of sets) {
      set.path = await settled(set.path)
      if (set.validation !== undefined) set.validation = await settled(set.validation)
    }
    recipe.data = sets
  }
  if (recipe.validation !== undefined) recipe.validation = await settled(recipe.validation)
}

/** The recipe with every default filled in. Opens no file. @throws ConfigError for settings that do not fit each other */
export const completeRecipe = (input: object): FinetuneRecipe => {
  const recipe = parseConfig(finetuneSchema, { ...input, command: 'finetune' }, 'finetune')
  Object.assign(recipe, nameFunctions(recipe))
  const { task, config } = taskOf(recipe)
  recipe.data = readDataSets(recipe.data, recipe.dataTemperature)
  setsOf(recipe)
  if (finetuneKind.nonIterative?.(recipe) !== undefined) {
    expectNoSteps(recipe)
    featurePrecision(recipe)
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
      'dataTemperature',
      'priorBias',
      'dropout',
      'neftuneAlpha',
      'fgmEpsilon',
      'mixout',
      'distillation',
      'resample',
      'stack',
      'exampleCache',
      'workers',
      'loss',
    ] as (keyof typeof defaults)[]
  )
    .filter((name) => !applicable.includes(name) && !isDeepStrictEqual(recipe[name], defaults[name]))
    .map(
      (name) =>
        `Expected no \`${name}\` with the variant ${variant}, which has no steps, got ${show(recipe[name])}. It would have no effect; remove it.`,
    )
  for (const { name, weight, maxEpochs, maxExamples } of setsOf(recipe))
    for (const [setting, value] of Object.entries({ weight, maxEpochs, maxExamples }))
      if (value !== undefined)
        faults.push(
          `Expected no \`${setting}\` for the data set ${name} with the variant ${variant}, which learns from all records at once, got ${show(value)}. Remove it.`,
        )
  if (faults.length > 0) throw new ConfigError(faults)
}
