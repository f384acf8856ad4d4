// `defineRun`: recipes in TypeScript.
import type { FinetuneInput, PretrainInput } from './recipe-types/index.ts'

/** A fine-tuning recipe with its kind, since run.json and recipe files have one form. */
export type FinetuneDefinition = FinetuneInput & { command: 'finetune' }

/**
 * Returns the recipe unchanged. The compiler checks it while it is written: a setting that its variant, task, architecture or objective does
 * not have is an error, and hovering a key shows its help. When the recipe is run, it is checked again.
 */
export function defineRun(recipe: FinetuneDefinition): FinetuneDefinition
export function defineRun(recipe: PretrainInput): PretrainInput
export function defineRun<Recipe>(recipe: Recipe): Recipe {
  return recipe
}
