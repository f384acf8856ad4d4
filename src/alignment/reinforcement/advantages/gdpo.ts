// GDPO: each reward function is normalised within the group before the weighted sum, so that a function with small
// differences counts as much as one with large ones; the sum is normalised over the batch.
// @source arXiv:2601.05242, as TRL's `normalize_then_sum`
import { z } from 'zod'
import { combineRewards } from '../reward-shaping.ts'
import { type AdvantageContext, defineAdvantage, type ScoredAnswer } from './advantage.ts'
import { allEqual, countedScores, countsInBaseline, groupsOf, momentsOf, overTokens } from './groups.ts'

const schema = z.strictObject({
  epsilon: z.number().nonnegative().default(1e-4).describe('added to the standard deviations'),
})

interface RewardColumn {
  weight: number
  /** By answer. */
  values: (number | null)[]
}

/** Rewards by function with their weights. What penalties changed of the score is one more function, with weight 1. */
const rewardColumns = (answers: readonly ScoredAnswer[], { rewardWeights }: AdvantageContext): RewardColumn[] => {
  const functions = answers[0]?.rewards.length ?? 0
  const weights = rewardWeights ?? Array.from({ length: functions }, () => 1)
  const penalties: (number | null)[] = answers.map(() => null)
  for (const { index, score } of countedScores(answers, answers.keys()))
    penalties[index] = score - (combineRewards(answers[index].rewards, weights) ?? 0)
  return [
    ...weights.map((weight, k) => ({ weight, values: answers.map(({ rewards }) => rewards[k]) })),
    { weight: 1, values: penalties },
  ]
}

export const gdpo = defineAdvantage({
  type: 'gdpo',
  source: 'arXiv:2601.05242',
  config: schema,
  needsGroups: true,
  estimate(answers, { epsilon }, context) {
    const sums = new Float64Array(answers.length)
    const groups = groupsOf(answers)
    for (const { weight, values } of rewardColumns(answers, context))
      for (const indices of groups) {
        const scored = indices.filter((i) => countsInBaseline(answers[i]) && values[i] !== null)
        const own = scored.map((i) => values[i] ?? 0)
        if (allEqual(own)) continue
        const { mean, deviation } = momentsOf(own)
        for (const [k, i] of scored.entries()) sums[i] += (weight * (own[k] - mean)) / (deviation + epsilon)
      }
    const counted = [...answers.keys()].filter((i) => countsInBaseline(answers[i]))
    const { mean, deviation } = momentsOf(counted.map((i) => sums[i]))
    const normalised = new Float64Array(answers.length)
    for (const i of counted) normalised[i] = (sums[i] - mean) / (deviation + epsilon)
    return { advantages: overTokens(answers, normalised) }
  },
})
