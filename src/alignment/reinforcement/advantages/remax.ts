// ReMax: the rewards from each token on, minus the score of the greedy answer to the prompt.
// @source arXiv:2310.10505
import { z } from 'zod'
import { ConfigError } from '../../../core/index.ts'
import { defineAdvantage } from './advantage.ts'
import { returnsOf } from './reinforce.ts'

const schema = z.strictObject({
  gamma: z.number().gt(0).max(1).default(1).describe('discount of later rewards, γ'),
})

export const remax = defineAdvantage({
  type: 'remax',
  source: 'arXiv:2310.10505',
  config: schema,
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
