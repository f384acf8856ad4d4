// Alignment as a function.
import { parseConfig } from '../../core/index.ts'
import { expectPrecision, settledData, settleModels } from '../engine/base-settings.ts'
import { startRun } from '../engine/execute.ts'
import { nameFunctions } from '../engine/recipe-functions.ts'
import type { RunListener, RunResult } from '../engine/run-kind.ts'
import { settleTeacher } from '../engine/teacher.ts'
import type { AlignInput } from '../recipe-types/index.ts'
import { withModules } from '../use-modules.ts'
import { alignKind, completeRecipe } from './build.ts'
import { type AlignRecipe, alignSchema } from './recipe.ts'

/**
 * Aligns a base with preferences or rewards, in a new folder. By default: one epoch over the data, an evaluation after each epoch or every
 * ten rollouts, and the checkpoint with the best validation accuracy or reward becomes the model.
 * @throws ConfigError for settings that do not fit each other, DataError for data that cannot be read
 */
export const align = async (input: AlignInput, listener: RunListener = {}): Promise<RunResult> =>
  startRun(alignKind, await resolveAlignment(input, listener), listener)

/** The recipe with every default filled in and absolute paths. @throws ConfigError for settings that do not fit each other */
export const resolveAlignment = async (
  input: object,
  listener: Pick<RunListener, 'onNote'> = {},
): Promise<AlignRecipe> => {
  const recipe = completeAlignment(await withModules(input))
  recipe.data = await settledData(recipe.data, listener)
  if (recipe.validation !== undefined) recipe.validation = await settledData(recipe.validation, listener)
  await settleModels(recipe)
  recipe.distillation = await settleTeacher(recipe.distillation)
  return recipe
}

/** The recipe with every default filled in. Opens no file. @throws ConfigError for settings that do not fit each other */
export const completeAlignment = (input: object): AlignRecipe => {
  const recipe = parseConfig(alignSchema, { ...input, command: 'align' }, 'align')
  Object.assign(recipe, nameFunctions(recipe))
  expectPrecision(recipe)
  completeRecipe(recipe)
  return recipe
}
