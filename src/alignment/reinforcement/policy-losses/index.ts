// The registry of policy losses.
import type { z } from 'zod'
import { openUnion, Registry } from '../../../core/index.ts'
import { cispo } from './cispo.ts'
import { dapo } from './dapo.ts'
import { drGrpo } from './dr-grpo.ts'
import { gmpo } from './gmpo.ts'
import { grpo } from './grpo.ts'
import { gspo } from './gspo.ts'
import { gspoToken } from './gspo-token.ts'
import type { PolicyLossDefinition, PolicyTokens, TokenLosses } from './policy-loss.ts'
import { ppo } from './ppo.ts'
import { reinforceLoss } from './reinforce.ts'
import { rlooLoss } from './rloo.ts'
import { sapo } from './sapo.ts'

const registry = new Registry<PolicyLossDefinition>('a policy loss')

/** Every policy loss by its `type`, those that packages registered included. */
export const policyLosses = registry.builtIn([
  cispo,
  dapo,
  drGrpo,
  gmpo,
  grpo,
  gspo,
  gspoToken,
  ppo,
  reinforceLoss,
  rlooLoss,
  sapo,
])
/** Names of the built-in policy losses. */
export type PolicyLossType = keyof typeof policyLosses

/** Settings of any policy loss, told apart by `type`. */
export const policyLossSchema = openUnion('type', () =>
  registry.list.map(({ config }) => config as (typeof policyLosses)[PolicyLossType]['config']),
)
/** Checked settings of a built-in policy loss, defaults filled in. */
export type PolicyLossConfig = z.output<typeof policyLossSchema>
/** Settings of a built-in policy loss as a recipe writes them. */
export type PolicyLossInput = z.input<typeof policyLossSchema>

/**
 * Adds a policy loss to recipes and flags.
 * @throws ConfigError for a `type` that is taken
 */
export const registerPolicyLoss = (definition: PolicyLossDefinition): void => registry.register(definition)

/** The losses of tokens by a checked config. */
export const tokenLosses = (tokens: PolicyTokens, config: PolicyLossConfig): TokenLosses =>
  (policyLosses[config.type] as PolicyLossDefinition).losses(tokens, config)

export { type Aggregation, aggregate } from './aggregation.ts'
export { AnswerTokens } from './answer-tokens.ts'
export {
  definePolicyLoss,
  type PolicyLossDefinition,
  type PolicyTokens,
  type TokenLosses,
} from './policy-loss.ts'
