// The registry of advantage estimators.
import type { z } from 'zod'
import { openUnion, Registry } from '../../../core/index.ts'
import type { AdvantageContext, AdvantageDefinition, AdvantageEstimate, ScoredAnswer } from './advantage.ts'
import { gae } from './gae.ts'
import { gdpo, groupRelative, rloo } from './group-relative.ts'
import { reinforce, reinforcePlusPlus, remax } from './reinforce.ts'

const registry = new Registry<AdvantageDefinition>('an advantage estimator')

/** Every advantage estimator by its `type`, those that packages registered included. */
export const advantages = registry.builtIn([gae, gdpo, groupRelative, reinforce, reinforcePlusPlus, remax, rloo])
/** Names of the built-in estimators. */
export type AdvantageType = keyof typeof advantages

/** Settings of any advantage estimator, told apart by `type`. */
export const advantageSchema = openUnion('type', () =>
  registry.list.map(({ config }) => config as (typeof advantages)[AdvantageType]['config']),
)
/** Checked settings of a built-in estimator, defaults filled in. */
export type AdvantageConfig = z.output<typeof advantageSchema>
/** Settings of a built-in estimator as a recipe writes them. */
export type AdvantageInput = z.input<typeof advantageSchema>

/** Adds an advantage estimator to recipes and flags. @throws ConfigError for a `type` that is taken */
export const registerAdvantage = (definition: AdvantageDefinition): void => registry.register(definition)

/** The estimator of checked settings: what it needs of the answers. */
export const advantageDefinition = ({ type }: AdvantageConfig): AdvantageDefinition =>
  advantages[type] as AdvantageDefinition

/**
 * Advantages of the answers of a global batch, in their order, by a checked config.
 * @throws ConfigError for answers that lack what the estimator needs
 */
export const estimateAdvantages = (
  answers: readonly ScoredAnswer[],
  config: AdvantageConfig,
  context: AdvantageContext = {},
): AdvantageEstimate => advantageDefinition(config).estimate(answers, config, context)

export {
  type AdvantageContext,
  type AdvantageDefinition,
  type AdvantageEstimate,
  defineAdvantage,
  type ScoredAnswer,
} from './advantage.ts'
export { type GroupFacts, groupFacts } from './groups.ts'
