// The length of an answer: a cost for each token, or the distance from a target. Units are counted from the answer alone.
import { z } from 'zod'
import { spacedWords } from '../../tasks/index.ts'
import { defineReward, type RewardSample, scoreEach } from './reward.ts'

/** Units of length. */
const unitField = z
  .enum(['tokens', 'words', 'characters'])
  .default('tokens')
  .describe('unit of length; tokens are those of the policy, with the end token')

const lengthIn: { readonly [unit in z.output<typeof unitField>]: (sample: RewardSample) => number } = {
  tokens: ({ completionIds }) => completionIds.length,
  words: ({ completion }) => spacedWords(completion).length,
  characters: ({ completion }) => Array.from(completion).length,
}

export const answerLength = defineReward({
  type: 'length',
  source: 'arXiv:2503.04697 (L1), for the distance from a target',
  summary: 'Minus a cost per token, or minus the distance from a target length.',
  config: z
    .strictObject({
      unit: unitField,
      target: z
        .number()
        .positive()
        .optional()
        .describe('target length: the reward is 0 there and falls by 1 at a distance of the target itself'),
      cost: z.number().optional().describe('cost of each unit, such as 0.001; a negative cost pays for length'),
    })
    .refine(({ target, cost }) => (target === undefined) !== (cost === undefined), {
      path: ['target'],
      message: 'The reward `length` needs one of `target` and `cost`: set one of them.',
    }),
  open: ({ unit, target, cost = 0 }) => ({
    score: scoreEach((sample) => {
      const length = lengthIn[unit](sample)
      return 0 - (target === undefined ? cost * length : Math.abs(length - target) / target)
    }),
  }),
})
