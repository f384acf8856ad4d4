// The registry of variants whose work is done at once, without the loop.

import type { Work } from '../engine/run-kind.ts'
import { learnFeatures } from './feature-learning.ts'
import type { FinetuneRecipe } from './recipe.ts'
import type { VariantAtOnce } from './variant-names.ts'

const atOnce: Record<VariantAtOnce, (recipe: FinetuneRecipe) => Work> = { 'feature-based': learnFeatures }

export const worksAtOnce: Readonly<Record<string, ((recipe: FinetuneRecipe) => Work) | undefined>> = atOnce
