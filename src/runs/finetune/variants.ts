// The registry of variants without steps.
import type { NonIterativeFit } from '../engine/run-kind.ts'
import { fitFeatures } from './feature-learning.ts'
import type { FinetuneRecipe } from './recipe.ts'
import type { NonIterativeVariant } from './variant-names.ts'

const fits: Record<NonIterativeVariant, (recipe: FinetuneRecipe) => NonIterativeFit> = {
  'feature-based': fitFeatures,
}

/** The work of each variant without steps; undefined for variants that train in steps. */
export const nonIterativeFits: Readonly<Record<string, ((recipe: FinetuneRecipe) => NonIterativeFit) | undefined>> =
  fits
