// Pretraining as a function.
import { parseConfig } from '../../core/index.ts'
import { absoluteData, absoluteModel } from '../engine/absolute-paths.ts'
import { expectPrecision } from '../engine/base-settings.ts'
import { execute } from '../engine/execute.ts'
import { nameFunctions } from '../engine/recipe-functions.ts'
import { expectNewFolder } from '../engine/run-folder.ts'
import type { RunListener, RunResult } from '../engine/run-listener.ts'
import { settleTeacher } from '../engine/teacher.ts'
import type { PretrainInput } from '../recipe-types/index.ts'
import { withModules } from '../use-modules.ts'
import { expectAdaptable } from './adapted-model.ts'
import { pretrainKind } from './build.ts'
import { absoluteHarness } from './harness-evaluation.ts'
import { type PretrainRecipe, pretrainSchema } from './recipe.ts'
import { applyDepth } from './size-rule.ts'

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
