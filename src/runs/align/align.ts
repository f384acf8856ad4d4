// Alignment as a function.
import { parseConfig } from '../../core/index.ts'
import { absoluteData, absoluteModel } from '../engine/absolute-paths.ts'
import { expectPrecision, fillDefaults } from '../engine/base-settings.ts'
import { execute } from '../engine/execute.ts'
import { expectNewFolder } from '../engine/run-folder.ts'
import type { RunListener, RunResult } from '../engine/run-listener.ts'
import type { AlignInput } from '../recipe-types/index.ts'
import { withModules } from '../use-modules.ts'
import { alignKind } from './build.ts'
import { dataOf } from './data.ts'
import { findObjective, objectiveConfig } from './objectives.ts'
import { type AlignRecipe, alignSchema } from './recipe.ts'

/**
 * Aligns a base with preferences, in a new folder. By default: one epoch, 32 examples a step, an evaluation after each epoch, and the
 * checkpoint with the best validation accuracy becomes the model.
 * @throws ConfigError for settings that do not fit each other, DataError for data that cannot be read
 */
export const align = async (input: AlignInput, listener: RunListener = {}): Promise<RunResult> => {
  const recipe = completeAlignment(await withModules(input))
  recipe.data = absoluteData(recipe.data)
  if (recipe.validation !== undefined) recipe.validation = absoluteData(recipe.validation)
  recipe.tokenizer = await absoluteModel(recipe.tokenizer)
  recipe.base = await absoluteModel(recipe.base)
  await expectNewFolder(recipe.out)
  return execute(alignKind, recipe, 'new', listener)
}

/** The recipe with every default filled in. Opens no file. @throws ConfigError for settings that do not fit each other */
export const completeAlignment = (input: object): AlignRecipe => {
  const recipe = parseConfig(alignSchema, { ...input, command: 'align' }, 'align')
  const objective = findObjective(recipe.objective)
  const data = dataOf(objective)
  objectiveConfig(objective, recipe.settings)
  data.checkColumns(recipe.columns)
  expectPrecision(recipe)
  fillDefaults(recipe, { sequences: 32, epochs: 1, best: data.mainMetric })
  return recipe
}
