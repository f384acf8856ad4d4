// Minus the share of n-grams that are repetitions. @source arXiv:2502.03373, section 4.3
import { z } from 'zod'
import { spacedWords } from '../../tasks/index.ts'
import { defineReward, scoreEach } from './reward.ts'

/** 1 - distinct / all n-grams; 0 for a text with fewer than two. */
const repeatedShare = (items: readonly (string | number)[], n: number): number => {
  const count = items.length - n + 1
  if (count < 2) return 0
  const seen = new Set<string>()
  for (let at = 0; at < count; at++) seen.add(JSON.stringify(items.slice(at, at + n)))
  return 1 - seen.size / count
}

export const repetition = defineReward({
  type: 'repetition',
  source: 'arXiv:2502.03373',
  summary: 'Minus the share of n-grams of the answer that repeat an earlier one.',
  config: z.strictObject({
    n: z.int().positive().max(100).default(3).describe('length of the n-grams'),
    unit: z
      .enum(['words', 'tokens'])
      .default('words')
      .describe('units of the n-grams: words in lower case, or tokens of the policy'),
  }),
  open: ({ n, unit }) => ({
    score: scoreEach(
      ({ completion, completionIds }) =>
        0 - repeatedShare(unit === 'tokens' ? Array.from(completionIds) : spacedWords(completion.toLowerCase()), n),
    ),
  }),
})
