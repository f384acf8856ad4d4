// The interface of advantage estimators: from scored answers to an advantage for each token. Independent of particular
// estimators, of rewards and of losses.
import type { z } from 'zod'
import { type Named, named } from '../../../core/index.ts'

/** An answer with its rewards. */
export interface ScoredAnswer {
  /** Answers with the same number were sampled for the same prompt. */
  group: number
  /** Reward by reward function; null where a function could not score the answer. */
  rewards: readonly (number | null)[]
  /** Their weighted sum after penalties and clipping; null where the answer could not be scored. */
  score: number | null
  /** One entry per completion token: 1 if the model chose it. */
  mask: Uint8Array
  /** Whether it ends with an end token that the model chose. */
  finished: boolean
  /** Further rewards by completion token, such as `−β·KL`. */
  tokenRewards?: ArrayLike<number>
  /** The critic's value of the text before each completion token; with `after-end` also of the whole text. */
  values?: ArrayLike<number>
  /** Score of the greedy answer to the prompt. */
  greedyScore?: number | null
  /** True for an answer that is not trained on, such as a truncated one: it does not count in baselines. */
  excluded?: boolean
}

/** What estimators know beside the answers. */
export interface AdvantageContext {
  /** Weights of the reward functions (default: 1 each). */
  rewardWeights?: readonly number[]
}

/** Advantages and returns by answer, in the order of the answers; one entry per completion token. */
export interface AdvantageEstimate {
  /** 0 for tokens and answers that are not trained on or have no score. */
  advantages: Float32Array[]
  /** Targets of the critic, of estimators with one; with `after-end` one more for the whole text. */
  returns?: Float32Array[]
}

/** An advantage estimator. */
export interface AdvantageDefinition<Schema extends z.ZodObject = z.ZodObject, Type extends string = string> {
  /** Name in recipes and flags. */
  type: Type
  /** Publication of the method. */
  source: string
  /** Settings, `type` included. */
  config: Schema
  /** It compares the answers to one prompt, and needs at least two of them. */
  needsGroups?: boolean
  /** It needs `values`. */
  needsCritic?: boolean
  /** It needs `greedyScore`. */
  needsGreedyAnswer?: boolean
  /**
   * Estimates the advantages over a global batch, whose groups must be complete.
   * @throws ConfigError for answers that lack what it needs
   */
  estimate(answers: readonly ScoredAnswer[], config: z.output<Schema>, context: AdvantageContext): AdvantageEstimate
}

type Declaration<Type extends string, Schema extends z.ZodObject> = Omit<
  AdvantageDefinition<Named<Type, Schema>, Type>,
  'config'
> & {
  /** Settings, without `type`. */
  config: Schema
}

/** Defines an advantage estimator; `registerAdvantage` makes it available to recipes and flags. */
export const defineAdvantage = <const Type extends string, Schema extends z.ZodObject>(
  declaration: Declaration<Type, Schema>,
): AdvantageDefinition<Named<Type, Schema>, Type> => ({
  ...declaration,
  config: named(declaration.type, declaration.config, 'advantage estimator'),
})
