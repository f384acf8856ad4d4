// Fills in the recipe of a run that learns from rewards.
import { parseReward, type ResolvedRollout } from '../../../alignment/index.ts'
import { ConfigError } from '../../../core/index.ts'
import { fillDefaults } from '../../engine/base-settings.ts'
import type { AlignRecipe } from '../recipe.ts'
import { findRolloutObjective, type RolloutObjective } from './objectives.ts'

/** The objective of a recipe. @throws ConfigError for one that does not learn from rewards */
export const rolloutObjectiveOf = ({ objective }: Pick<AlignRecipe, 'objective'>): RolloutObjective => {
  const found = findRolloutObjective(objective)
  if (found === undefined)
    throw new ConfigError(`Expected an objective that learns from rewards, got ${objective}. Choose another objective.`)
  return found
}

/** The settings of rollouts with those of the objective filled in. */
export const resolvedRollout = (recipe: AlignRecipe): ResolvedRollout =>
  ({
    ...rolloutObjectiveOf(recipe).rollout,
    ...Object.fromEntries(Object.entries(recipe.rollout).filter(([, value]) => value !== undefined)),
  }) as ResolvedRollout

const isNamed = (input: unknown): input is string | { type: string } =>
  typeof input === 'string' ||
  (typeof input === 'object' && input !== null && 'type' in input && (input as { type: unknown }).type !== 'function')

/** One step for each epoch over a rollout, unless the recipe says otherwise. @throws ConfigError for a run without rewards */
export const completeReinforcement = (recipe: AlignRecipe): void => {
  const { objective, rewards, judge } = recipe
  if (rewards.length === 0)
    throw new ConfigError(
      `The objective ${objective} needs rewards: set \`rewards\` (\`--reward\`), such as numeric-match or length:cost=0.001.`,
    )
  for (const [i, input] of rewards.entries()) if (isNamed(input)) parseReward(input as string, `rewards[${i}]`)
  if (isNamed(judge)) parseReward(judge as string, 'judge')
  if (recipe.reference.cache)
    throw new ConfigError(
      `Expected no \`reference.cache\` with the objective ${objective}, whose answers are new in every step. Remove it.`,
    )
  const rollout = resolvedRollout(recipe)
  recipe.rollout = rollout
  fillDefaults(recipe, {
    sequences: rollout.prompts * rollout.answers,
    epochs: 1,
    best: judge === undefined ? 'reward' : 'judge',
  })
}
