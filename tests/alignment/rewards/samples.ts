// Samples of answers for tests of rewards.
import type { RewardFunction, RewardSample, ScoreFunction } from '../../../src/alignment/index.ts'

/** A sample with this answer; every field can be replaced. */
export const sample = (completion: string, more: Partial<RewardSample> & { reference?: string } = {}): RewardSample => {
  const { reference, ...given } = more
  const prompt = given.prompt ?? 'What is 6 * 7?'
  const fields = { question: prompt }
  return {
    prompt,
    completion,
    promptIds: [1, 2, 3],
    completionIds: Array.from(completion, (letter) => letter.codePointAt(0)!),
    record: { id: '0', file: 'test', line: 1, prompt, fields, ...(reference === undefined ? {} : { reference }) },
    finishReason: 'eos',
    ...given,
  }
}

/** A reward function. */
export const rewardFunction = (
  score: ScoreFunction,
  more: Partial<Omit<RewardFunction, 'score'>> = {},
): RewardFunction => ({ name: 'test', weight: 1, ...more, score })
