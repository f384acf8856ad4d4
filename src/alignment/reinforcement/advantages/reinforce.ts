// REINFORCE: the discounted rewards from each token on, optionally minus the mean score of the batch's other answers.
// @source Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning"
import { z } from 'zod'
import { ConfigError } from '../../../core/index.ts'
import { withScore } from '../reward-shaping.ts'
import { whiten } from '../whitening.ts'
import { defineAdvantage, type ScoredAnswer } from './advantage.ts'
import { discountedReturns } from './gae.ts'
import { countedMasks, countsInBaseline, groupsOf, momentsOf } from './groups.ts'

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
const returnsOf = (answer: ScoredAnswer, baseline: number, gamma: number): Float32Array => {
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

// @source arXiv:2501.03262
const plusPlusSchema = z.strictObject({
  baseline: z
    .enum(['none', 'group'])
    .default('none')
    .describe('subtracted from the score: nothing, or the mean score of the answers to the prompt'),
  gamma: z.number().gt(0).max(1).default(1).describe('discount of later rewards, γ'),
  epsilon: z.number().positive().default(1e-8).describe('added to the variance of the batch'),
})

export const reinforcePlusPlus = defineAdvantage({
  type: 'reinforce-plus-plus',
  source: 'arXiv:2501.03262',
  config: plusPlusSchema,
  estimate(answers, { baseline, gamma, epsilon }) {
    const bases = new Float64Array(answers.length)
    if (baseline === 'group')
      for (const indices of groupsOf(answers)) {
        const scores = indices.flatMap((i) => (countsInBaseline(answers[i]) ? [answers[i].score ?? 0] : []))
        const { mean } = momentsOf(scores)
        for (const i of indices) bases[i] = mean
      }
    const returns = answers.map((answer, i) => returnsOf(answer, bases[i], gamma))
    return { advantages: whiten(returns, countedMasks(answers), { epsilon }) }
  },
})

// @source arXiv:2310.10505
const remaxSchema = z.strictObject({
  gamma: z.number().gt(0).max(1).default(1).describe('discount of later rewards, γ'),
})

export const remax = defineAdvantage({
  type: 'remax',
  source: 'arXiv:2310.10505',
  config: remaxSchema,
  needsGreedyAnswer: true,
  estimate: (answers, { gamma }) => ({
    advantages: answers.map((answer) => {
      const { greedyScore, mask } = answer
      if (greedyScore === undefined)
        throw new ConfigError('`remax` needs the score of the greedy answer to each prompt: generate and score it.')
      // Without a baseline, this answer would weigh more than the others.
      return greedyScore === null ? new Float32Array(mask.length) : returnsOf(answer, greedyScore, gamma)
    }),
  }),
})
