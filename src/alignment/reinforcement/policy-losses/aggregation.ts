// How the losses of tokens become the loss of a batch: a factor for each token and a weight for each answer, both known
// before the forward pass, so that no split into micro-batches changes the loss.
import { z } from 'zod'

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

/** Names of the ways to aggregate. */
const aggregations = Object.keys(rules) as (keyof typeof rules)[]
/** Name of a way to aggregate. */
export type Aggregation = keyof typeof rules

/** The setting, with the default of a loss. */
export const aggregationField = <Default extends Aggregation>(of: Default) =>
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
