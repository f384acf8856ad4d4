// The registry of rewards of answers: their schemas, how they are opened, scored and checked. Recipes, flags and tests derive from it.
import { z } from 'zod'
import { ConfigError, didYouMean, openUnion, parseConfig, Registry, unwrap } from '../../core/index.ts'
import { code } from './code/code.ts'
import { http } from './http.ts'
import { classifier, rewardModel } from './models/model-rewards.ts'
import { exactMatch, numericMatch, textMetric } from './reference-rewards.ts'
import {
  type RewardContext,
  type RewardDefinition,
  type RewardFunction,
  rewardFields,
  type ScoreFunction,
} from './reward.ts'
import { answerLength, environmentReward, finished, regularExpression, repetition, sections } from './text-rewards.ts'

export {
  defineReward,
  type RewardContext,
  type RewardDefinition,
  RewardError,
  type RewardFailure,
  type RewardFunction,
  type RewardLimits,
  type RewardSample,
  type RewardScorer,
  type RewardValues,
  rewardFields,
  type SampledEpisode,
  type ScoreFunction,
  scoreEach,
} from './reward.ts'
export { openRewardCache, type RewardCache, type RewardCacheOptions } from './reward-cache.ts'
export {
  type CheckRewardsOptions,
  checkRewards,
  type RewardCheck,
  type RewardStatistics,
  type SampleRewards,
  type ScoredSamples,
  type ScoreSamplesOptions,
  scoreSamples,
} from './score-samples.ts'

const registry = new Registry<RewardDefinition>('a reward')

/** Every reward by its `type`, those that packages registered included. */
export const rewards = registry.builtIn([
  numericMatch,
  exactMatch,
  textMetric,
  regularExpression,
  sections,
  answerLength,
  repetition,
  finished,
  rewardModel,
  classifier,
  code,
  http,
  environmentReward,
])
/** Names of the built-in rewards. */
export type RewardType = keyof typeof rewards

/** Names of all rewards, in the order in which they were added. */
export const rewardTypes = (): string[] => registry.types

/**
 * Adds a reward to recipes and flags. A module that a recipe names in `use` registers its own this way, so that a resumed run has it too.
 * @throws ConfigError for a `type` that is taken
 */
export const registerReward = (definition: RewardDefinition): void => registry.register(definition)

type Tagged<Definition> =
  Definition extends RewardDefinition<infer Schema, infer Type>
    ? z.ZodObject<{ type: z.ZodLiteral<Type> } & Schema['shape'] & typeof rewardFields, z.core.$strict>
    : never

const tagged = new Map<RewardDefinition, z.ZodObject>()
const schemaOf = (definition: RewardDefinition): z.ZodObject => {
  const known =
    tagged.get(definition) ??
    definition.config.safeExtend({ type: z.literal(definition.type).describe('kind of reward'), ...rewardFields })
  tagged.set(definition, known)
  return known
}

/** Settings of any reward, told apart by `type`. */
export const rewardSchema = openUnion('type', () =>
  registry.list.map((definition) => schemaOf(definition) as Tagged<(typeof rewards)[RewardType]>),
)
/** Checked settings of a built-in reward, defaults filled in. */
export type RewardConfig = z.output<typeof rewardSchema>
/** Settings of a built-in reward as a recipe writes them. */
export type RewardSettings = z.input<typeof rewardSchema>

/**
 * A reward in a recipe: settings with a `type`, the short form `NAME` or `NAME:option=value,option=value`, a function of samples, or a reward
 * function with a name and a weight.
 */
export type RewardInput = RewardSettings | string | ScoreFunction | RewardFunction

const isRewardFunction = (input: object): input is RewardFunction =>
  'score' in input && typeof input.score === 'function' && 'name' in input && 'weight' in input

const findDefinition = (type: unknown, where: string): RewardDefinition => {
  const found = typeof type === 'string' ? registry.find(type) : undefined
  if (found !== undefined) return found
  throw new ConfigError(
    `Expected one of ${registry.types.join(', ')} for \`${where}\`, got ${JSON.stringify(type) ?? 'nothing'}.${typeof type === 'string' ? didYouMean(type, registry.types) : ''}`,
  )
}

/** The text of an option as the value that its schema takes; lists are separated by `+`. */
const optionValue = (schema: z.ZodType | undefined, text: string): unknown => {
  const field = schema === undefined ? undefined : unwrap(schema)
  if (field instanceof z.ZodArray) return text.split('+')
  if (field instanceof z.ZodBoolean && (text === 'true' || text === 'false')) return text === 'true'
  if (field instanceof z.ZodNumber && text.trim() !== '' && Number.isFinite(Number(text))) return Number(text)
  return text
}

/** `NAME` or `NAME:option=value,option=value` as settings, which are not checked yet. @throws ConfigError */
const parseShortForm = (text: string, where: string): { type: string; [option: string]: unknown } => {
  const [type, ...rest] = text.split(':')
  const { shape } = schemaOf(findDefinition(type, where))
  if (rest.length === 0) return { type }
  const options = rest
    .join(':')
    .split(',')
    .map((pair): [string, unknown] => {
      const [name, ...value] = pair.split('=')
      if (value.length === 0)
        throw new ConfigError(
          `Expected option=value for \`${where}\`, got ${pair}. Separate options by commas; write values with commas in a recipe.`,
        )
      return [name, optionValue(shape[name], value.join('='))]
    })
  return { type, ...Object.fromEntries(options) }
}

/** Checked settings of a reward that is named, in either form. @throws ConfigError that lists every fault */
export const parseReward = (input: RewardSettings | string, where = 'reward'): RewardConfig => {
  const settings = typeof input === 'string' ? parseShortForm(input, where) : input
  findDefinition(settings.type, `${where}.type`)
  return parseConfig(rewardSchema, settings, where)
}

/** Whether a named reward reads the turns of an environment. @throws ConfigError for an unknown name */
export const needsEnvironment = ({ type }: Pick<RewardConfig, 'type'>): boolean =>
  findDefinition(type, 'reward').needsEnvironment ?? false

/** The column that a named reward compares with: null for the reference answer of the prompts; undefined for a reward that compares with none. */
export const comparedColumn = (config: RewardConfig): string | null | undefined => {
  if (!findDefinition(config.type, 'reward').readsReference) return undefined
  return (config as { column?: string }).column ?? null
}

const openNamed = async (config: RewardConfig, context: RewardContext): Promise<RewardFunction> => {
  const definition = findDefinition(config.type, 'reward')
  const { type, name, weight, timeoutSeconds, attempts, onFailure, samplesPerCall, cache, ...settings } = config
  const scorer = await definition.open({ ...settings }, context)
  const { limits } = definition
  const identity = JSON.stringify([type, settings, scorer.identity ?? null])
  return {
    name: name ?? type,
    weight,
    score: scorer.score,
    close: scorer.close,
    usesModel: scorer.usesModel,
    timeoutSeconds: timeoutSeconds ?? limits?.timeoutSeconds,
    attempts: attempts ?? limits?.attempts,
    onFailure,
    samplesPerCall: samplesPerCall ?? limits?.samplesPerCall,
    concurrency: limits?.concurrency,
    ...((cache ?? definition.cached) ? { identity } : {}),
  }
}

const openReward = (input: RewardInput, index: number, context: RewardContext): Promise<RewardFunction> => {
  const where = `rewards[${index}]`
  if (typeof input === 'function')
    return Promise.resolve({ name: input.name === '' ? `reward-${index + 1}` : input.name, weight: 1, score: input })
  if (typeof input === 'object' && isRewardFunction(input)) {
    if (typeof input.weight !== 'number' || !Number.isFinite(input.weight))
      throw new ConfigError(`Expected a finite number for \`${where}.weight\`, got ${String(input.weight)}.`)
    return Promise.resolve(input)
  }
  return openNamed(parseReward(input, where), context)
}

/**
 * Opens rewards, in their order. Close them with `closeRewards`.
 * @throws ConfigError for unknown names, wrong settings and names that are used twice; CheckpointError for models that cannot be opened
 */
export const openRewards = async (
  inputs: readonly RewardInput[],
  context: RewardContext,
): Promise<RewardFunction[]> => {
  const opened: RewardFunction[] = []
  try {
    for (const [index, input] of inputs.entries()) {
      const reward = await openReward(input, index, context)
      opened.push(reward)
      if (opened.some((other) => other !== reward && other.name === reward.name))
        throw new ConfigError(
          `Expected different names for the rewards, got \`${reward.name}\` twice. Set \`name\` of one of them.`,
        )
    }
  } catch (error) {
    await closeRewards(opened)
    throw error
  }
  return opened
}

/** Frees what the rewards hold. */
export const closeRewards = async (functions: readonly RewardFunction[]): Promise<void> => {
  for (const reward of functions) await reward.close?.()
}
