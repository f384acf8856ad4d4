// Leave-one-out advantages: the score minus the mean of the group's other scores, which is an unbiased baseline.
// @source RLOO, arXiv:2402.14740
import { z } from 'zod'
import { defineAdvantage } from './advantage.ts'
import { allEqual, countedScores, groupsOf, momentsOf, overTokens } from './groups.ts'

const schema = z.strictObject({
  normalise: z
    .boolean()
    .default(false)
    .describe('subtract the mean of the advantages of the batch and divide by their standard deviation'),
  epsilon: z.number().nonnegative().default(1e-4).describe('added to the standard deviation'),
})

export const rloo = defineAdvantage({
  type: 'rloo',
  source: 'arXiv:2402.14740',
  config: schema,
  needsGroups: true,
  estimate(answers, { normalise, epsilon }) {
    const advantages = new Float64Array(answers.length)
    for (const indices of groupsOf(answers)) {
      const counted = countedScores(answers, indices)
      const scores = counted.map(({ score }) => score)
      if (allEqual(scores)) continue
      const { mean } = momentsOf(scores)
      const factor = scores.length / (scores.length - 1)
      for (const { index, score } of counted) advantages[index] = factor * (score - mean)
    }
    if (normalise) {
      const counted = countedScores(answers, answers.keys())
      const { mean, deviation } = momentsOf(counted.map(({ index }) => advantages[index]))
      for (const { index } of counted) advantages[index] = (advantages[index] - mean) / (deviation + epsilon)
    }
    return { advantages: overTokens(answers, advantages) }
  },
})
