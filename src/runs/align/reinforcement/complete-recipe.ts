// Fills in the recipe of a run that learns from rewards.
import {
  comparedColumn,
  createEnvironment,
  type EnvironmentChoice,
  needsEnvironment,
  parseReward,
  type ResolvedRollout,
  type RewardConfig,
  type RewardSettings,
} from '../../../alignment/index.ts'
import { ConfigError, withoutUndefined } from '../../../core/index.ts'
import type { PromptRecord } from '../../../tasks/index.ts'
import { fillDefaults } from '../../engine/base-settings.ts'
import type { AlignRecipe } from '../recipe.ts'
import { limitsEpisodes } from '../rollout-settings.ts'
import { checkAnswerTeacher } from './answer-teacher.ts'
import { findRolloutObjective, type RolloutObjective } from './objectives.ts'

/** The objective of a recipe. @throws ConfigError for one that does not learn from rewards */
export const rolloutObjectiveOf = ({ objective }: Pick<AlignRecipe, 'objective'>): RolloutObjective => {
  const found = findRolloutObjective(objective)
  if (found === undefined)
    throw new ConfigError(`Expected an objective that learns from rewards, got ${objective}. Choose another objective.`)
  return found
}

/** Whether all weights are float32 on a CPU: then sampling can give the log-probabilities of training to the bit. */
export const isFullPrecision = ({ precision, frozenWeights, device }: AlignRecipe): boolean =>
  precision === 'float32' && frozenWeights === 'float32' && device === 'cpu'

/** The settings of rollouts with those of the objective filled in. */
export const resolvedRollout = (recipe: AlignRecipe): ResolvedRollout =>
  ({
    exact: isFullPrecision(recipe),
    ...rolloutObjectiveOf(recipe).rollout,
    ...withoutUndefined(recipe.rollout),
  }) as ResolvedRollout

const isNamed = (input: unknown): input is RewardSettings | string =>
  typeof input === 'string' ||
  (typeof input === 'object' && input !== null && 'type' in input && (input as { type: unknown }).type !== 'function')

/** The rewards and the judge that are named. @throws ConfigError for an unknown name or wrong settings */
const namedRewards = ({ rewards, judge }: Pick<AlignRecipe, 'rewards' | 'judge'>): RewardConfig[] => [
  ...rewards.flatMap((input, i) => (isNamed(input) ? [parseReward(input, `rewards[${i}]`)] : [])),
  ...(isNamed(judge) ? [parseReward(judge, 'judge')] : []),
]

/**
 * Checks that some record has what the named rewards compare answers with, as soon as the data is read.
 * @throws ConfigError that names the reward and the missing column
 */
export const expectReferences = (recipe: AlignRecipe, records: readonly PromptRecord[]): void => {
  for (const config of namedRewards(recipe)) {
    const column = comparedColumn(config)
    if (column === undefined) continue
    const isThere = ({ reference, fields }: PromptRecord) =>
      column === null ? reference !== undefined : Object.hasOwn(fields, column)
    if (records.some(isThere)) continue
    const columns = Object.keys(records[0]?.fields ?? {})
    const others = columns.length === 0 ? 'they have no columns' : `columns: ${columns.join(', ')}`
    throw new ConfigError(
      column === null
        ? `The reward \`${config.type}\` needs the reference answer of each prompt, and the records of \`data\` have none (${others}): name its column with \`columns.reference\`.`
        : `The reward \`${config.type}\` needs the column \`${column}\`, and the records of \`data\` have none (${others}): change \`column\` of the reward.`,
    )
  }
}

/**
 * Checks the rewards and the judge that are named.
 * @throws ConfigError for an unknown name, wrong settings, or one that needs an environment where there is none
 */
export const checkRewards = (recipe: AlignRecipe): void => {
  const { environment } = recipe
  const needing = namedRewards(recipe).find(needsEnvironment)
  if (needing !== undefined && environment === undefined)
    throw new ConfigError(`The reward \`${needing.type}\` needs \`environment\`: set it, or choose another reward.`)
}

/** Answers of several turns: an environment that gives rewards needs no other. @throws ConfigError for settings without an effect */
const completeEnvironment = (recipe: AlignRecipe): void => {
  const { objective, rewards, environment } = recipe
  if (environment === undefined) {
    if (limitsEpisodes(recipe))
      throw new ConfigError('`episode` needs `environment`: answers of one turn have no other limit than `rollout`.')
    return
  }
  if (isNamed(environment)) createEnvironment(environment as EnvironmentChoice)
  if (!rolloutObjectiveOf(recipe).masksTokens)
    throw new ConfigError(
      `Expected no \`environment\` with the objective ${objective}, which would also learn what the environment writes. Choose another objective, such as grpo.`,
    )
  if (rewards.length === 0) recipe.rewards = ['environment']
}

/** The score that tells how good the answers of a model are. */
export const mainMetricOf = ({ rewards, judge }: Pick<AlignRecipe, 'rewards' | 'judge'>): string => {
  if (judge !== undefined) return 'judge'
  return rewards.length > 0 ? 'reward' : 'klPerToken'
}

/** One step for each epoch over a rollout, unless the recipe says otherwise. @throws ConfigError for a run without rewards */
export const completeReinforcement = (recipe: AlignRecipe): void => {
  completeEnvironment(recipe)
  const { objective, rewards } = recipe
  const { usesTeacher = false } = rolloutObjectiveOf(recipe)
  if (rewards.length === 0 && !usesTeacher)
    throw new ConfigError(
      `The objective ${objective} needs rewards: set \`rewards\`, such as numeric-match or length:cost=0.001.`,
    )
  checkRewards(recipe)
  if (recipe.reference.cache)
    throw new ConfigError(
      `Expected no \`reference.cache\` with the objective ${objective}, whose answers are new in every step. Remove it.`,
    )
  checkAnswerTeacher(recipe, usesTeacher)
  const rollout = resolvedRollout(recipe)
  if (rollout.exact && !isFullPrecision(recipe))
    throw new ConfigError(
      '`rollout.exact` needs `precision` and `frozenWeights` float32 and the device cpu: change them, or leave it out.',
    )
  recipe.rollout = rollout
  fillDefaults(recipe, {
    sequences: rollout.prompts * rollout.answers,
    epochs: 1,
    best: mainMetricOf(recipe),
  })
}
