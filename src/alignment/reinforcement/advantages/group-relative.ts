// Group-relative advantages: the score minus the mean of the group, divided by a standard deviation (GRPO) or not
// (Dr. GRPO).
// @source GRPO, arXiv:2402.03300; Dr. GRPO, arXiv:2503.20783; deviation of the batch, arXiv:2508.08221
import { z } from 'zod'
import { defineAdvantage } from './advantage.ts'
import { allEqual, countedScores, groupsOf, momentsOf, overTokens } from './groups.ts'

const schema = z.strictObject({
  scale: z
    .enum(['group', 'batch', 'none'])
    .default('group')
    .describe('standard deviation to divide by: of the group (GRPO), of the whole batch, or none (Dr. GRPO)'),
  epsilon: z.number().nonnegative().default(1e-4).describe('added to the standard deviation'),
})

export const groupRelative = defineAdvantage({
  type: 'group-relative',
  source: 'arXiv:2402.03300, arXiv:2503.20783',
  config: schema,
  needsGroups: true,
  estimate(answers, { scale, epsilon }) {
    const advantages = new Float64Array(answers.length)
    const ofBatch = momentsOf(countedScores(answers, answers.keys()).map(({ score }) => score)).deviation
    for (const indices of groupsOf(answers)) {
      const counted = countedScores(answers, indices)
      const scores = counted.map(({ score }) => score)
      if (allEqual(scores)) continue
      const { mean, deviation } = momentsOf(scores)
      const divisor = { group: deviation + epsilon, batch: ofBatch + epsilon, none: 1 }[scale]
      for (const { index, score } of counted) advantages[index] = (score - mean) / divisor
    }
    return { advantages: overTokens(answers, advantages) }
  },
})
