// REINFORCE++: the rewards from each token on, normalised over all trained tokens of the batch; the form with a baseline
// subtracts the mean score of the group first.
// @source arXiv:2501.03262
import { z } from 'zod'
import { whiten } from '../whitening.ts'
import { defineAdvantage } from './advantage.ts'
import { countedMasks, countsInBaseline, groupsOf, momentsOf } from './groups.ts'
import { returnsOf } from './reinforce.ts'

const schema = z.strictObject({
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
  config: schema,
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
