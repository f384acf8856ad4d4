// Settings of a recipe that only objectives with rollouts have.
import { episodeSchema, rolloutSchema } from '../../alignment/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { AlignRecipe } from './recipe.ts'

const defaults = JSON.stringify(rolloutSchema.parse({}))
const episodeDefaults = JSON.stringify(episodeSchema.parse({}))

/** Whether a recipe sets limits of answers of several turns. */
export const limitsEpisodes = ({ episode }: Pick<AlignRecipe, 'episode'>): boolean =>
  JSON.stringify(episode) !== episodeDefaults

/** @throws ConfigError for rewards or rollouts that would have no effect */
export const refuseRolloutSettings = (recipe: AlignRecipe): void => {
  const { objective, rewards, rollout, environment } = recipe
  const given = [
    ...(rewards.length > 0 ? ['rewards'] : []),
    ...(JSON.stringify(rollout) === defaults ? [] : ['rollout']),
    ...(environment === undefined ? [] : ['environment']),
    ...(limitsEpisodes(recipe) ? ['episode'] : []),
  ]
  if (given.length > 0)
    throw new ConfigError(
      `Expected no ${given.map((name) => `\`${name}\``).join(' or ')} with the objective ${objective}, which learns from preferences. Remove ${given.length === 1 ? 'it' : 'them'}, or choose an objective that learns from rewards, such as grpo.`,
    )
}
