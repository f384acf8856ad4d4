// REINFORCE: the discounted rewards from each token on, optionally minus the mean score of the batch's other answers.
// @source Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning"
import { z } from 'zod'
import { discountedReturns } from '../generalized-advantages.ts'
import { withScore } from '../reward-shaping.ts'
import { defineAdvantage, type ScoredAnswer } from './advantage.ts'
import { countsInBaseline } from './groups.ts'

const schema = z.strictObject({
  gamma: z.number().gt(0).max(1).default(1).describe('discount of later rewards, γ'),
  baseline: z
    .enum(['none', 'batch'])
    .default('none')
    .describe('subtracted from the score: nothing, or the mean score of the other answers of the batch'),
})

/**
 * Discounted rewards from each token on, with the score minus a baseline at the end; 0 for answers that do not count.
 */
export const returnsOf = (answer: ScoredAnswer, baseline: number, gamma: number): Float32Array => {
  const { mask, finished, tokenRewards, score } = answer
  if (score === null || !countsInBaseline(answer)) return new Float32Array(mask.length)
  const rewards = withScore(tokenRewards, { mask, finished, score: score - baseline }, 'end')
  return Float32Array.from(discountedReturns(rewards, mask, gamma))
}

export const reinforce = defineAdvantage({
  type: 'reinforce',
  source: 'Williams 1992',
  config: schema,
  estimate(answers, { gamma, baseline }) {
    const scores = answers.flatMap((answer) => (countsInBaseline(answer) ? [answer.score ?? 0] : []))
    const sum = scores.reduce((total, score) => total + score, 0)
    const meanOfOthers = (score: number) => (sum - score) / Math.max(1, scores.length - 1)
    return {
      advantages: answers.map((answer) =>
        returnsOf(answer, baseline === 'none' ? 0 : meanOfOthers(answer.score ?? 0), gamma),
      ),
    }
  },
})
