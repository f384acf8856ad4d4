// The registry of variants whose work is done at once, without the loop.
import { learnFeatures } from './feature-work.ts'
import type { FinetuneRecipe } from './finetune-recipe.ts'
import type { Work } from './run-kind.ts'
import type { VariantAtOnce } from './variant-names.ts'

const atOnce: Record<VariantAtOnce, (recipe: FinetuneRecipe) => Work> = { 'feature-based': learnFeatures }

export const worksAtOnce: Readonly<Record<string, ((recipe: FinetuneRecipe) => Work) | undefined>> = atOnce
