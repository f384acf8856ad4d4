// Generalised advantage estimation with a critic, for PPO: advantages whitened over the batch, and the critic's targets.
// @source arXiv:1506.02438; PPO for language models, arXiv:1909.08593; λ of the critic, VC-PPO, arXiv:2503.01491
import { z } from 'zod'
import { ConfigError } from '../../../core/index.ts'
import { scorePlaces, withScore } from '../reward-shaping.ts'
import { maskedMoments, whiten } from '../whitening.ts'
import { defineAdvantage, type ScoredAnswer } from './advantage.ts'
import { countedMasks, countsInBaseline } from './groups.ts'

// @source Schulman et al. 2015, arXiv:1506.02438
/** Rewards, values and the mask of one answer, of equal length. */
interface GaeInputs {
  rewards: ArrayLike<number>
  /** The critic's value of the text before each token. */
  values: ArrayLike<number>
  /** 0 for tokens that the model did not choose, such as the output of tools. */
  mask: ArrayLike<number>
}

interface GaeFactors {
  /** Discount of later rewards, γ. */
  gamma: number
  /** Weight of later estimates, λ. */
  lambda: number
}

/**
 * `δ = r + γV' − V; A = δ + γλA'` from the last token to the first; the returns are `A + V`. A masked token has neither
 * an advantage nor a return: the next value and the next advantage pass over it, and its reward belongs to the token
 * before it, whose consequence it is.
 */
export const generalizedAdvantages = (
  { rewards, values, mask }: GaeInputs,
  { gamma, lambda }: GaeFactors,
): { advantages: Float64Array; returns: Float64Array } => {
  const count = mask.length
  const advantages = new Float64Array(count)
  const returns = new Float64Array(count)
  let [nextValue, nextAdvantage, passed] = [0, 0, 0]
  for (let t = count - 1; t >= 0; t--) {
    if (mask[t] === 0) {
      passed += rewards[t]
      continue
    }
    const delta = rewards[t] + passed + gamma * nextValue - values[t]
    nextAdvantage = delta + gamma * lambda * nextAdvantage
    nextValue = values[t]
    passed = 0
    advantages[t] = nextAdvantage
    returns[t] = nextAdvantage + values[t]
  }
  return { advantages, returns }
}

/** Discounted sums of the rewards from each token on, which a masked token passes over: `G = r + γG'`. */
export const discountedReturns = (rewards: ArrayLike<number>, mask: ArrayLike<number>, gamma: number): Float64Array => {
  const sums = new Float64Array(mask.length)
  let [next, passed] = [0, 0]
  for (let t = mask.length - 1; t >= 0; t--) {
    if (mask[t] === 0) {
      passed += rewards[t]
      continue
    }
    next = rewards[t] + passed + gamma * next
    passed = 0
    sums[t] = next
  }
  return sums
}

const schema = z.strictObject({
  gamma: z.number().gt(0).max(1).default(1).describe('discount of later rewards, γ'),
  lambda: z
    .number()
    .min(0)
    .max(1)
    .default(0.95)
    .describe('λ of the advantages: 1 uses the rewards only, lower values rely more on the critic'),
  criticLambda: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('λ of the targets of the critic (default: that of the advantages; 1 in VC-PPO)'),
  whiten: z.boolean().default(true).describe('normalise the advantages over all trained tokens of the batch'),
  whitenRewards: z
    .boolean()
    .default(false)
    .describe('divide the rewards of tokens by their standard deviation over the batch'),
  scoreAt: z
    .enum(scorePlaces)
    .default('end')
    .describe('position of the score: at the end token, or one place later, as in TRL'),
})

type Config = z.output<typeof schema>

/** The rewards of an answer's tokens, with the score, and a mask of the same length. */
interface Steps {
  rewards: Float64Array
  mask: Uint8Array
}

const stepsOf = ({ mask, finished, tokenRewards, score }: ScoredAnswer, { scoreAt }: Config): Steps => {
  const rewards = withScore(tokenRewards, { mask, finished, score: score ?? 0 }, scoreAt)
  // The place after the end is no token of the answer, but its reward counts.
  const longer = new Uint8Array(rewards.length).fill(1)
  longer.set(mask)
  return { rewards, mask: longer }
}

/** Rewards divided by their deviation; the mean stays, since it says how good the answers are. */
const whitenRewards = (answers: readonly ScoredAnswer[], all: readonly Steps[]): Steps[] => {
  const masks = all.map(({ mask }, i) => (countsInBaseline(answers[i]) ? mask : new Uint8Array(mask.length)))
  const { mean, variance } = maskedMoments(
    all.map(({ rewards }) => rewards),
    masks,
  )
  const scale = 1 / Math.sqrt(variance + 1e-8)
  return all.map(({ rewards, mask }) => ({
    rewards: rewards.map((reward, t) => (mask[t] === 0 ? reward : (reward - mean) * scale + mean)),
    mask,
  }))
}

export const gae = defineAdvantage({
  type: 'gae',
  source: 'arXiv:1506.02438',
  config: schema,
  needsCritic: true,
  estimate(answers, config) {
    const { gamma, lambda, criticLambda = lambda } = config
    const plain = answers.map((answer) => stepsOf(answer, config))
    const all = config.whitenRewards ? whitenRewards(answers, plain) : plain
    const estimates = answers.map((answer, i) => {
      const { mask, values } = answer
      const { rewards } = all[i]
      if (values === undefined || values.length < rewards.length)
        throw new ConfigError(
          `Expected ${rewards.length} values of the critic for an answer of ${mask.length} tokens, got ${values?.length ?? 0}. Compute them before the advantages.`,
        )
      // Without a score the critic is right: it learns nothing from this answer.
      if (!countsInBaseline(answer))
        return { advantages: new Float32Array(mask.length), returns: Float32Array.from(rewards, (_, t) => values[t]) }
      const inputs = { ...all[i], values }
      const own = generalizedAdvantages(inputs, { gamma, lambda })
      const targets = criticLambda === lambda ? own : generalizedAdvantages(inputs, { gamma, lambda: criticLambda })
      return {
        advantages: Float32Array.from(own.advantages.subarray(0, mask.length)),
        returns: Float32Array.from(targets.returns),
      }
    })
    const advantages = estimates.map((one) => one.advantages)
    return {
      advantages: config.whiten ? whiten(advantages, countedMasks(answers)) : advantages,
      returns: estimates.map((one) => one.returns),
    }
  },
})
