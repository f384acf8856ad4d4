// The kind of run that aligns a model. What an objective learns from decides how its recipe is completed, and how the run is built and compared.
import { findPreference } from '../../alignment/index.ts'
import { ConfigError } from '../../core/index.ts'
import { fillDefaults } from '../engine/base-settings.ts'
import type { BuildContext, BuiltRun, RunComparison, RunKind } from '../engine/run-kind.ts'
import { buildPreferences } from './build-preferences.ts'
import { answerComparison, preferenceComparison, rewardPoints } from './comparison.ts'
import { alignmentData } from './data.ts'
import { columnsOf, type DataKind, findObjective, objectiveConfig } from './objectives.ts'
import { type AlignRecipe, alignSchema } from './recipe.ts'
import { buildReinforcement } from './reinforcement/build-reinforcement.ts'
import {
  checkAnswerTeacher,
  checkRewards,
  completeReinforcement,
  refuseRolloutSettings,
} from './reinforcement/complete-recipe.ts'

interface AlignFamily {
  /** Fills in what the recipe leaves open. @throws ConfigError for settings that do not fit each other */
  complete(recipe: AlignRecipe): void
  build(recipe: AlignRecipe, context: BuildContext): Promise<BuiltRun>
  comparison: RunComparison<AlignRecipe>
}

/** @throws ConfigError for settings of a reference that the objective does not have */
const refuseReference = ({ objective, reference: { cache, precision } }: AlignRecipe): void => {
  if (findPreference(objective).reference || (!cache && precision === undefined)) return
  const name = cache ? 'cache' : 'precision'
  throw new ConfigError(
    `Expected no \`reference.${name}\` with the objective ${objective}, which has no reference model. Remove it, or choose an objective such as dpo.`,
  )
}

const preferences = (kind: 'pairs' | 'ratings'): AlignFamily => ({
  complete(recipe) {
    refuseRolloutSettings(recipe)
    refuseReference(recipe)
    checkRewards(recipe)
    checkAnswerTeacher(recipe, false)
    fillDefaults(recipe, { sequences: 32, epochs: 1, best: alignmentData[kind].mainMetric })
  },
  build: buildPreferences,
  comparison: preferenceComparison,
})

const families: Record<DataKind, AlignFamily> = {
  pairs: preferences('pairs'),
  ratings: preferences('ratings'),
  prompts: { complete: completeReinforcement, build: buildReinforcement, comparison: answerComparison },
}

/** The family of the objective of a recipe. @throws ConfigError for an unknown objective */
const familyOf = ({ objective }: Pick<AlignRecipe, 'objective'>): AlignFamily => families[findObjective(objective).data]

/** Checks the settings of objective and data, and fills in what the recipe leaves open. @throws ConfigError */
export const completeRecipe = (recipe: AlignRecipe): void => {
  const objective = findObjective(recipe.objective)
  objectiveConfig(objective, recipe.settings)
  columnsOf(objective.data, recipe.columns)
  familyOf(recipe).complete(recipe)
}

export const alignKind: RunKind<AlignRecipe> = {
  command: 'align',
  schema: alignSchema,
  build: (recipe, context) => familyOf(recipe).build(recipe, context),
  comparison: (recipe) => ({ ...familyOf(recipe).comparison, rewards: rewardPoints }),
}
