// The kind of run that aligns a model. What an objective learns from decides how the run is built and compared.
import type { RunComparison, RunKind } from '../engine/run-kind.ts'
import { type AlignFamily, familyOf } from './families.ts'
import { type AlignRecipe, alignSchema } from './recipe.ts'
import { rewardPoints } from './reward-points.ts'

const comparisonOf = (recipe: AlignRecipe): AlignFamily['comparison'] => familyOf(recipe).comparison

const comparison: RunComparison<AlignRecipe> = {
  describe: (recipe) => comparisonOf(recipe).describe(recipe),
  records: (recipe) => comparisonOf(recipe).records(recipe),
  predictions: (path, records, recipe) => comparisonOf(recipe).predictions(path, records, recipe),
  score: (records, predictions, recipe) => comparisonOf(recipe).score(records, predictions, recipe),
  rewards: (recipe, folder, metrics) => rewardPoints(recipe, folder, metrics),
}

/** The kind of run that aligns a model with preferences or rewards. */
export const alignKind: RunKind<AlignRecipe> = {
  command: 'align',
  schema: alignSchema,
  build: (recipe, context) => familyOf(recipe).build(recipe, context),
  comparison,
}
