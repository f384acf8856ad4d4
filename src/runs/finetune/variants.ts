// The registry of variants whose work is done at once, without the loop.

import type { NonIterativeFit } from '../engine/run-kind.ts'
import { learnFeatures } from './feature-learning.ts'
import type { FinetuneRecipe } from './recipe.ts'
import type { NonIterativeVariant } from './variant-names.ts'

const atOnce: Record<NonIterativeVariant, (recipe: FinetuneRecipe) => NonIterativeFit> = {
  'feature-based': learnFeatures,
}

export const nonIterativeFits: Readonly<Record<string, ((recipe: FinetuneRecipe) => NonIterativeFit) | undefined>> =
  atOnce
