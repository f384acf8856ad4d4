// A base that continued pretraining adapts beside its weights, such as by a language adapter (MAD-X), in place of training all of them.
import type { AppliedAdapter } from '../../adapters/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { ObjectiveDefinition } from '../../objectives/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { exportAdapted, loadAdaptedBase, savedAs } from '../engine/adapted-base.ts'
import { findBase } from '../engine/base-files.ts'
import type { BaseRecipe } from '../engine/base-settings.ts'
import { hashesOf } from '../engine/data-splits.ts'
import type { BuiltRun } from '../engine/run-kind.ts'
import type { PretrainRecipe } from './recipe.ts'

/** A base with what is trained on it. */
export interface AdaptedModel extends Pick<BuiltRun, 'hashes' | 'notes'> {
  applied: AppliedAdapter
  /** How checkpoints and the finished model are stored. */
  stored: Pick<BuiltRun, 'weights' | 'addModelFiles' | 'exportModel'>
}

/** @throws ConfigError for settings of a fine-tuning method where all weights are trained, and for those that do not fit one */
export const expectAdaptable = (recipe: PretrainRecipe): void => {
  const { variant, adapter, stack, frozenWeights, base, model } = recipe
  const given = [
    ...(Object.keys(adapter).length > 0 ? ['adapter'] : []),
    ...(stack.length > 0 ? ['stack'] : []),
    ...(frozenWeights !== 'float32' ? ['frozenWeights'] : []),
  ]
  if (variant === undefined && given.length > 0)
    throw new ConfigError(`\`${given[0]}\` needs a fine-tuning method: set \`variant\`, such as lora.`)
  if (variant === undefined) return
  if (base === undefined)
    throw new ConfigError(`\`variant\` ${variant} needs a pretrained model: set \`base\`, or leave \`variant\` out.`)
  if (Object.keys(model.config).length > 0)
    throw new ConfigError(
      `\`model.config\` changes a base that is trained itself: leave it out with the variant ${variant}.`,
    )
}

/** @throws ConfigError for an adapter, which needs a method that trains it further or merges it */
export const expectWholeBase = async (base: string): Promise<void> => {
  const { start } = await findBase(base)
  if (start !== undefined)
    throw new ConfigError(
      `The adapter ${start} as \`base\` needs \`variant\`: its own method trains it further, and full merges it and trains all weights.`,
    )
}

/** Opens the base of a recipe with a variant. @throws ConfigError for an objective that trains a second model */
export const openAdapted = async (
  recipe: PretrainRecipe & { base: string; variant: string },
  { head, auxiliary }: ObjectiveDefinition,
  tokenizer: Tokenizer,
): Promise<AdaptedModel> => {
  const { objective, variant, stack } = recipe
  if (auxiliary !== undefined)
    throw new ConfigError(
      `\`variant\` ${variant} needs an objective with one model, got ${objective.type}, which trains a second one. Choose masked-lm, or leave \`variant\` out.`,
    )
  const { base, start } = await findBase(recipe.base)
  const settings: BaseRecipe = recipe
  const { applied, notes } = await loadAdaptedBase(settings, { base, start, head, tokenizer })
  const addNothing = async () => {}
  const stored: AdaptedModel['stored'] = savedAs(recipe, base, applied, addNothing)
  // Otherwise the model is a copy of a checkpoint, which also has the exact tensors of the run.
  if (!applied.inPlace)
    stored.exportModel = async (folder) => {
      await exportAdapted(settings, base, applied, folder, addNothing)
      return undefined
    }
  return { applied, notes, hashes: await hashesOf([], base, { start, stack }), stored }
}
