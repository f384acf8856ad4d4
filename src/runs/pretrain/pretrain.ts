// Pretraining as a function.
import { ConfigError, parseConfig } from '../../core/index.ts'
import { execute, expectNewFolder, type RunListener, type RunResult } from '../engine/execute.ts'
import { pretrainKind } from './build.ts'
import { type PretrainInput, pretrainSchema } from './recipe.ts'
import { applyDepth } from './size-rule.ts'

/** Trains as the recipe says, into a fresh folder. @throws ConfigError for recipes that do not fit, DataError for data that does not */
export const pretrain = async (input: PretrainInput, listener: RunListener = {}): Promise<RunResult> => {
  const recipe = applyDepth(parseConfig(pretrainSchema, input, 'pretrain'))
  if (recipe.batch.sequences === undefined && recipe.batch.tokens === undefined) recipe.batch.sequences = 32
  const { keep, evaluate } = recipe
  if (keep.best !== undefined && Object.keys(evaluate).length === 0)
    throw new ConfigError('Expected evaluations to choose the best checkpoint by, got none. Set `evaluate.steps`.')
  await expectNewFolder(recipe.out)
  return execute(pretrainKind, recipe, 'fresh', listener)
}
