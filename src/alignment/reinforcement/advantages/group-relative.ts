// Group-relative advantages: the score minus the mean of the group, divided by a standard deviation (GRPO) or not
// (Dr. GRPO).
// @source GRPO, arXiv:2402.03300; Dr. GRPO, arXiv:2503.20783; deviation of the batch, arXiv:2508.08221
import { z } from 'zod'
import { combineRewards } from '../reward-shaping.ts'
import { type AdvantageContext, defineAdvantage, type ScoredAnswer } from './advantage.ts'
import { allEqual, countedScores, countsInBaseline, groupsOf, momentsOf, overTokens } from './groups.ts'

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

// @source RLOO, arXiv:2402.14740
const rlooSchema = z.strictObject({
  normalise: z
    .boolean()
    .default(false)
    .describe('subtract the mean of the advantages of the batch and divide by their standard deviation'),
  epsilon: z.number().nonnegative().default(1e-4).describe('added to the standard deviation'),
})

export const rloo = defineAdvantage({
  type: 'rloo',
  source: 'arXiv:2402.14740',
  config: rlooSchema,
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

// @source arXiv:2601.05242, as TRL's `normalize_then_sum`
const gdpoSchema = z.strictObject({
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
  config: gdpoSchema,
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
