// From the rewards of an answer to what an advantage estimator reads: penalties, clipping, and the KL divergence from the
// reference as a reward of each token. Plain numbers; independent of estimators and of how rewards are computed.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { type RewardKlEstimator, rewardKl, rewardKlEstimators } from './kl-divergence.ts'

const overlongSchema = z.strictObject({
  maxLength: z.int().positive().describe('completion tokens from which the full penalty applies'),
  zone: z.int().positive().describe('completion tokens before maxLength in which the penalty grows linearly'),
  penalty: z.number().nonnegative().default(1).describe('reward that the longest answers lose'),
})

/** Settings of reward shaping, applied in the order of the fields. */
export const rewardShapingSchema = z
  .strictObject({
    overlong: overlongSchema.optional().describe('soft penalty of long answers (DAPO)'),
    missingEndPenalty: z
      .number()
      .nonnegative()
      .optional()
      .describe('subtracted from the reward of answers without an end token'),
    missingEndScore: z
      .number()
      .optional()
      .describe('reward of answers without an end token, in place of their own; -1 in InstructGPT-style training'),
    clip: z.number().positive().optional().describe('clip rewards to this absolute value'),
    maskTruncated: z
      .boolean()
      .optional()
      .describe(
        'do not train on answers without an end token, nor count them in baselines (default: true for dapo, else false)',
      ),
  })
  .refine(
    ({ missingEndPenalty, missingEndScore }) => missingEndPenalty === undefined || missingEndScore === undefined,
    {
      path: ['missingEndScore'],
      message: 'Expected `missingEndPenalty` or `missingEndScore`, got both. Remove one.',
    },
  )

/** Checked settings of reward shaping. */
export type RewardShaping = z.output<typeof rewardShapingSchema>

/** An answer as its rewards left it. */
export interface RewardedAnswer {
  /** Weighted sum of the rewards; null where the answer could not be scored. */
  reward: number | null
  /** Whether it ends with an end token that the model chose. */
  finished: boolean
  /** One entry per completion token: 1 if the model chose it. */
  mask: Uint8Array
}

/**
 * Weighted sum of the rewards of an answer. A null, of a function that could not score the answer, counts nothing.
 * @returns null if no function scored it
 * @throws ConfigError for another number of weights than rewards
 */
export const combineRewards = (
  rewards: readonly (number | null)[],
  weights: readonly number[] = rewards.map(() => 1),
): number | null => {
  if (weights.length !== rewards.length)
    throw new ConfigError(
      `Expected a weight for each of ${rewards.length} reward functions, got ${weights.length}. Give one weight per function.`,
    )
  let sum: number | null = null
  for (const [i, reward] of rewards.entries()) if (reward !== null) sum = (sum ?? 0) + weights[i] * reward
  return sum
}

/**
 * Penalty of an answer by its length: 0 up to `maxLength − zone`, then linear to −1 at `maxLength`, times `penalty`.
 * @source DAPO, arXiv:2503.14476, equation 13
 */
export const overlongPenalty = (
  length: number,
  { maxLength, zone, penalty }: z.output<typeof overlongSchema>,
): number => -penalty * Math.min(1, Math.max(0, (length - (maxLength - zone)) / zone))

/** The score of an answer after penalties and clipping, and whether it is left out of training and of baselines. */
export const shapeReward = (
  { reward, finished, mask }: RewardedAnswer,
  settings: RewardShaping,
): { score: number | null; excluded: boolean } => {
  const excluded = settings.maskTruncated === true && !finished
  if (reward === null) return { score: null, excluded }
  const { overlong, missingEndPenalty = 0, missingEndScore, clip = Number.POSITIVE_INFINITY } = settings
  let score = reward + (overlong === undefined ? 0 : overlongPenalty(mask.length, overlong))
  if (!finished) score = missingEndScore ?? score - missingEndPenalty
  return { score: Math.min(clip, Math.max(-clip, score)), excluded }
}

/** Settings of the KL divergence from the reference as a penalty in the reward. */
export const rewardKlSchema = z.strictObject({
  coefficient: z.number().nonnegative().default(0.05).describe('coefficient of the KL penalty, β'),
  estimator: z
    .enum(rewardKlEstimators)
    .default('k1')
    .describe('estimator of the KL divergence: k1 is unbiased; k3 has less variance and is never negative'),
})

/**
 * Rewards of the completion tokens from the KL divergence alone: `−β·KL` at trained tokens, 0 elsewhere.
 * @param logProbs of the sampled tokens under the policy that sampled them
 * @returns also the divergence of the answer: the sum of `logProbs − reference`, without coefficient and clamps
 */
export const klRewards = (
  { mask, logProbs, reference }: { mask: Uint8Array; logProbs: ArrayLike<number>; reference: ArrayLike<number> },
  { coefficient, estimator }: { coefficient: number; estimator: RewardKlEstimator },
): { tokenRewards: Float64Array; kl: number } => {
  const tokenRewards = new Float64Array(mask.length)
  let kl = 0
  for (let t = 0; t < mask.length; t++) {
    if (mask[t] === 0) continue
    tokenRewards[t] = -coefficient * rewardKl[estimator](logProbs[t], reference[t])
    kl += logProbs[t] - reference[t]
  }
  return { tokenRewards, kl }
}

/** Where the score of an answer is added to the rewards of its tokens. */
export const scorePlaces = ['end', 'after-end'] as const

/**
 * Rewards of tokens with the score of the answer. `end` adds it at the last trained token, which is the end token of a
 * finished answer. `after-end` adds it one place later, as TRL's PPO does after lm-human-preferences: the rewards of
 * finished answers then have one entry more than the answer has tokens, for the text after the end token.
 */
export const withScore = (
  tokenRewards: ArrayLike<number> | undefined,
  { mask, finished, score }: { mask: Uint8Array; finished: boolean; score: number },
  place: (typeof scorePlaces)[number],
): Float64Array => {
  const later = place === 'after-end' && finished
  const rewards = new Float64Array(mask.length + (later ? 1 : 0))
  if (tokenRewards !== undefined) rewards.set(Array.from(tokenRewards).slice(0, mask.length))
  const last = later ? mask.length : mask.lastIndexOf(1)
  if (last >= 0) rewards[last] += score
  return rewards
}
