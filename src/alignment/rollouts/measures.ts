// What is measured on a rollout: rewards by function, lengths, shares, entropy and divergence. Plain numbers.
import { measureEpisodes } from '../environments/index.ts'
import { hasVariance, isFinished, type RolloutGroup } from './rollout.ts'

const meanOf = (values: readonly number[]): number =>
  values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length

/** Sum and number of the tokens that the policy chose. */
const overTokens = (mask: Uint8Array, of: (token: number) => number): { sum: number; count: number } => {
  let [sum, count] = [0, 0]
  for (let t = 0; t < mask.length; t++)
    if (mask[t] !== 0) {
      sum += of(t)
      count++
    }
  return { sum, count }
}

/**
 * Measures of all sampled answers, those of groups that are left out included. A mean over nothing is left out.
 * @param names of the reward functions
 */
export const measureRollout = (groups: readonly RolloutGroup[], names: readonly string[]): Record<string, number> => {
  const answers = groups.flat()
  const measures: Record<string, number> = {}
  const add = (name: string, value: number) => {
    if (Number.isFinite(value)) measures[name] = value
  }
  const rewards = answers.flatMap(({ reward }) => (reward === null ? [] : [reward]))
  const mean = meanOf(rewards)
  add('reward', mean)
  add('rewardDeviation', Math.sqrt(meanOf(rewards.map((reward) => (reward - mean) ** 2))))
  for (const [i, name] of names.entries())
    if (names.length > 1)
      add(`reward.${name}`, meanOf(answers.flatMap(({ rewards: own }) => (own[i] === null ? [] : [own[i]]))))
  if (names.length > 0) add('unscored', 1 - rewards.length / answers.length)
  add('completionTokens', meanOf(answers.map(({ ids }) => ids.length)))
  add('finished', meanOf(answers.map((answer) => (isFinished(answer) ? 1 : 0))))
  const episodes = answers.flatMap(({ episode, ids, mask }) =>
    episode === undefined ? [] : [{ ...episode, ids, mask }],
  )
  if (episodes.length > 0) for (const [name, value] of Object.entries(measureEpisodes(episodes))) add(name, value)
  if (names.length > 0) add('equalGroups', meanOf(groups.map((group) => (hasVariance(group) ? 0 : 1))))
  const sums = { kl: 0, klAnswers: 0, reference: 0, tokens: 0, entropy: 0, entropyTokens: 0 }
  for (const { mask, logProbs, reference, entropy } of answers) {
    if (reference !== undefined) {
      const { sum, count } = overTokens(mask, (t) => logProbs[t] - reference[t])
      sums.kl += sum
      sums.klAnswers++
      sums.reference += overTokens(mask, (t) => reference[t]).sum
      sums.tokens += count
    }
    // The mean of minus the log-probability of sampled tokens estimates the entropy without bias.
    const { sum, count } = overTokens(mask, (t) => entropy?.[t] ?? -logProbs[t])
    sums.entropy += sum
    sums.entropyTokens += count
  }
  add('kl', sums.kl / sums.klAnswers)
  add('klPerToken', sums.kl / sums.tokens)
  add('referencePerplexity', Math.exp(-sums.reference / sums.tokens))
  add('entropy', sums.entropy / sums.entropyTokens)
  return measures
}
