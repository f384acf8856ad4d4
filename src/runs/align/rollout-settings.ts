// Settings of a recipe that only objectives with rollouts have.
import { rolloutSchema } from '../../alignment/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { AlignRecipe } from './recipe.ts'

const defaults = JSON.stringify(rolloutSchema.parse({}))

/** @throws ConfigError for rewards or rollouts that would have no effect */
export const refuseRolloutSettings = ({ objective, rewards, judge, rollout }: AlignRecipe): void => {
  const given = [
    ...(rewards.length > 0 ? ['rewards'] : []),
    ...(judge === undefined ? [] : ['judge']),
    ...(JSON.stringify(rollout) === defaults ? [] : ['rollout']),
  ]
  if (given.length > 0)
    throw new ConfigError(
      `Expected no ${given.map((name) => `\`${name}\``).join(' or ')} with the objective ${objective}, which learns from preferences. Remove ${given.length === 1 ? 'it' : 'them'}, or choose an objective that learns from rewards, such as grpo.`,
    )
}
