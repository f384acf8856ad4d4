// The interface of policy losses: from log-probabilities and advantages of tokens to a loss for each token. Independent of
// particular losses, of models and of how tokens are aggregated.
import { z } from 'zod'
import { type Named, named } from '../../../core/index.ts'
import { type Tensor, widened, widestDtype, zeros } from '../../../tensor/index.ts'

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

interface Rule {
  /** Factor of each of the `tokens` trained tokens of an answer. */
  factor(tokens: number): number
  /** What an answer adds to the divisor. */
  weight(tokens: number, maxTokens: number): number
}

const rules = {
  'token-mean': { factor: () => 1, weight: (tokens) => tokens },
  'answer-mean': { factor: (tokens) => 1 / tokens, weight: () => 1 },
  'answer-sum': { factor: () => 1, weight: () => 1 },
  'fixed-length': { factor: () => 1, weight: (_, maxTokens) => maxTokens },
} as const satisfies Record<string, Rule>

const aggregations = Object.keys(rules) as (keyof typeof rules)[]
/** Name of a way to aggregate. */
export type Aggregation = keyof typeof rules

/** The setting, with the default of a loss. */
export const aggregationField = (of: Aggregation) =>
  z
    .enum(aggregations)
    .default(of)
    .describe(
      'token-mean: over all tokens of the global batch; answer-mean: over answers, of the mean of their tokens; answer-sum: over answers, of the sum of their tokens; fixed-length: as answer-sum, divided by the maximum length',
    )

/**
 * Factor of the tokens of an answer and its weight.
 * @param tokens trained tokens; an answer without any has no weight, so that masked answers dilute nothing
 * @param maxTokens maximum length of an answer, for `fixed-length`
 */
export const aggregate = (
  aggregation: Aggregation,
  tokens: number,
  maxTokens: number,
): { factor: number; weight: number } => {
  if (tokens === 0) return { factor: 0, weight: 0 }
  const rule: Rule = rules[aggregation]
  return { factor: rule.factor(tokens), weight: rule.weight(tokens, maxTokens) }
}

/** Which answer each of the N trained tokens of a micro-batch belongs to. */
export class AnswerTokens {
  readonly #index: Tensor
  readonly #counts: Tensor
  readonly #answers: number

  /**
   * @param index int64 [N], the answer of each token
   * @param counts tokens of each answer
   */
  constructor(index: Tensor, counts: Tensor) {
    this.#index = index
    this.#counts = counts
    this.#answers = counts.shape[0]
  }

  /** [N] -> [N]: for each token the sum over its answer. Summed in float64 where the device has it, so that the order does not matter. */
  sum(values: Tensor): Tensor {
    return this.#sums(values).to('float32').indexSelect(0, this.#index)
  }

  /** [N] -> [N]: for each token the mean over its answer. */
  mean(values: Tensor): Tensor {
    return this.#sums(values)
      .div(this.#counts.clamp({ min: 1 }))
      .to('float32')
      .indexSelect(0, this.#index)
  }

  #sums(values: Tensor): Tensor {
    return zeros([this.#answers], { dtype: widestDtype(values.device), device: values.device }).indexAdd(
      0,
      this.#index,
      widened(values),
    )
  }
}
