// The interface of policy losses: from log-probabilities and advantages of tokens to a loss for each token. Independent of
// particular losses, of models and of how tokens are aggregated.
import type { z } from 'zod'
import { type Named, named } from '../../../core/index.ts'
import type { Tensor } from '../../../tensor/index.ts'
import type { AnswerTokens } from './answer-tokens.ts'

/** The N trained tokens of a micro-batch; each tensor is float32 [N]. */
export interface PolicyTokens {
  /** Under the model that is trained, with a gradient. */
  logProbs: Tensor
  /** Under the model before the first update on these answers. */
  oldLogProbs: Tensor
  advantages: Tensor
  answers: AnswerTokens
}

/** The losses of tokens, float32 [N] each. */
export interface TokenLosses {
  losses: Tensor
  /** Probability ratio of the new to the old model, as the loss uses it, with a gradient where it has one. */
  ratio: Tensor
  /** bool [N]: tokens without a gradient because their ratio is too low, or too high. */
  clipped?: { low: Tensor; high: Tensor }
}

/** A policy loss. */
export interface PolicyLossDefinition<Schema extends z.ZodObject = z.ZodObject, Type extends string = string> {
  /** Name in recipes and flags. */
  type: Type
  /** Publication of the method. */
  source: string
  /** Settings, with `type` and `aggregation`. */
  config: Schema
  /** The loss of each token; it runs with gradients. */
  losses(tokens: PolicyTokens, config: z.output<Schema>): TokenLosses
}

type Declaration<Type extends string, Schema extends z.ZodObject> = Omit<
  PolicyLossDefinition<Named<Type, Schema>, Type>,
  'config'
> & {
  /** Settings, without `type`. */
  config: Schema
}

/** Defines a policy loss; `registerPolicyLoss` makes it available to recipes and flags. */
export const definePolicyLoss = <const Type extends string, Schema extends z.ZodObject>(
  declaration: Declaration<Type, Schema>,
): PolicyLossDefinition<Named<Type, Schema>, Type> => ({
  ...declaration,
  config: named(declaration.type, declaration.config, 'policy loss'),
})
