// Fills in the recipe of a run that learns from rewards or from a teacher of its answers, and refuses settings of rollouts without effect.
import {
  alarmSchema,
  comparedColumn,
  createEnvironment,
  type EnvironmentChoice,
  episodeSchema,
  modelReference,
  needsEnvironment,
  parseReward,
  type Reference,
  type ResolvedRollout,
  type RewardConfig,
  type RewardSettings,
  rolloutSchema,
} from '../../../alignment/index.ts'
import { ConfigError, withoutUndefined } from '../../../core/index.ts'
import type { PromptRecord } from '../../../tasks/index.ts'
import { fillDefaults } from '../../engine/base-settings.ts'
import { distillationSchema, type OpenedTeacher, openTeacher, type StudentFacts } from '../../engine/teacher.ts'
import type { AlignRecipe } from '../recipe.ts'
import { findRolloutObjective, type RolloutObjective } from './objectives.ts'

const defaults = JSON.stringify(rolloutSchema.parse({}))
const episodeDefaults = JSON.stringify(episodeSchema.parse({}))

/** Whether a recipe sets limits of answers of several turns. */
const limitsEpisodes = ({ episode }: Pick<AlignRecipe, 'episode'>): boolean =>
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

const { temperature, divergence } = distillationSchema.shape

/** The setting `distillation` of a recipe. The teacher is the whole loss, so that it has no weight. */
export const answerDistillationSchema = distillationSchema.omit({ weight: true }).extend({
  temperature: temperature.describe("divisor of all logits (default: sampling's)"),
  divergence: divergence.describe('measure (default: reverse-kl)'),
})

const alarmDefaults = alarmSchema.parse({})

/** @throws ConfigError for settings that would have no effect with the objective, or without which it cannot learn */
export const checkAnswerTeacher = (
  { objective, distillation, reference, rollout, rewards, judge, alarms }: AlignRecipe,
  learnsFromTeacher: boolean,
): void => {
  const fail = (message: string): never => {
    throw new ConfigError(message)
  }
  const [given] = Object.entries(distillation).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  if (!learnsFromTeacher) {
    if (given !== undefined)
      fail(
        `Expected no \`distillation.${given}\` with the objective ${objective}, which learns from no teacher. Remove it, or choose gkd.`,
      )
    return
  }
  if (distillation.teacher === undefined)
    fail(
      `The objective ${objective} needs a teacher: set \`distillation.teacher\` to a model with the same vocabulary.`,
    )
  if (reference.precision !== undefined)
    fail(
      `Expected no \`reference.precision\` with the objective ${objective}, whose reference is the teacher. Set \`distillation.precision\` instead.`,
    )
  if (rollout.rounds !== undefined && rollout.rounds > 1)
    fail(
      `Expected 1 for \`rollout.rounds\` with the objective ${objective}, which learns from every answer whatever its reward, got ${rollout.rounds}. Remove it.`,
    )
  if (!rollout.measureKl && rewards.length === 0 && judge === undefined)
    fail(
      `Expected \`rollout.measureKl\`, \`rewards\` or a \`judge\` with the objective ${objective}: without any of them, nothing tells a good checkpoint from a bad one.`,
    )
  if (alarms.kl !== alarmDefaults.kl)
    fail(
      `Expected no \`alarms.kl\` with the objective ${objective}, whose student begins far from the teacher and comes closer. Remove it.`,
    )
}

/**
 * Opens the teacher of a recipe; `reference` has its log-probabilities, if they are measured. Unless the recipe says otherwise, the loss is the divergence that evaluations estimate: that of the student
 * from the teacher, at the temperature of sampling.
 * @throws ConfigError for a teacher of another vocabulary or head; CheckpointError for files that cannot be loaded
 */
export const openAnswerTeacher = async (
  recipe: AlignRecipe,
  { temperature, measureKl }: ResolvedRollout,
  student: StudentFacts,
): Promise<(OpenedTeacher & { reference: Reference | undefined }) | undefined> => {
  const opened = await openTeacher(
    {
      ...recipe,
      distillation: { temperature, divergence: 'reverse-kl', ...withoutUndefined(recipe.distillation), weight: 1 },
    },
    student,
  )
  if (opened === undefined) return undefined
  const reference = { ...modelReference(opened.teacher.model), summary: 'the teacher' }
  return { ...opened, reference: measureKl ? reference : undefined }
}

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
