// Pretraining as a function.
import { parseConfig } from '../../core/index.ts'
import { absoluteData, absoluteModel, expectPrecision } from '../engine/base-settings.ts'
import { execute } from '../engine/execute.ts'
import { nameFunctions } from '../engine/recipe-functions.ts'
import type { RunListener, RunResult } from '../engine/run-kind.ts'
import { expectNewFolder } from '../engine/run-record.ts'
import { settleTeacher } from '../engine/teacher.ts'
import type { PretrainInput } from '../recipe-types/index.ts'
import { withModules } from '../use-modules.ts'
import { expectAdaptable, pretrainKind } from './build.ts'
import { absoluteHarness } from './evaluation.ts'
import { applyDepth, type PretrainRecipe, pretrainSchema } from './recipe.ts'

/**
 * Pretrains a model by a recipe, in a new folder.
 * @throws ConfigError for settings that do not fit each other, DataError for data that cannot be read
 */
export const pretrain = async (input: PretrainInput, listener: RunListener = {}): Promise<RunResult> => {
  const recipe = await resolvePretraining(input)
  await expectNewFolder(recipe.out)
  return execute(pretrainKind, recipe, 'new', listener)
}

/** The recipe with every default filled in and absolute paths. @throws ConfigError for settings that do not fit each other */
export const resolvePretraining = async (input: object): Promise<PretrainRecipe> => {
  const recipe = applyDepth(parseConfig(pretrainSchema, await withModules(input), 'pretrain'))
  Object.assign(recipe, nameFunctions(recipe))
  if (recipe.batch.sequences === undefined && recipe.batch.tokens === undefined) recipe.batch.sequences = 32
  recipe.data = recipe.data.map(absoluteData)
  recipe.tokenizer = await absoluteModel(recipe.tokenizer)
  recipe.harness = absoluteHarness(recipe.harness)
  recipe.base = await absoluteModel(recipe.base)
  recipe.stack = await Promise.all(recipe.stack.map(absoluteModel))
  recipe.distillation = await settleTeacher(recipe.distillation)
  expectAdaptable(recipe)
  expectPrecision(recipe)
  return recipe
}
