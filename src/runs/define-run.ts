// `defineRun`: recipes in TypeScript.
import type { AlignInput, FinetuneInput, PretrainInput } from './recipe-types/index.ts'

/** A fine-tuning recipe with its kind, since run.json and recipe files have one form. */
export type FinetuneDefinition = FinetuneInput & { command: 'finetune' }

/** An alignment recipe with its kind. */
export type AlignDefinition = AlignInput & { command: 'align' }

/** Recipes by their command. */
export interface RecipeDefinitions {
  pretrain: PretrainInput
  finetune: FinetuneDefinition
  align: AlignDefinition
}

/**
 * Returns the recipe unchanged. The compiler checks it while it is written: a setting that its variant, task, architecture or objective does
 * not have is an error, and hovering a key shows its help. When the recipe is run, it is checked again.
 */
export const defineRun = <Command extends keyof RecipeDefinitions = 'pretrain'>(
  recipe: { command?: Command } & RecipeDefinitions[Command],
): RecipeDefinitions[Command] => recipe
