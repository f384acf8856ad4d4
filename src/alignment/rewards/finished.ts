// Whether the policy ended its answer itself. The prompt is not looked at: it may have end tokens too.
import { z } from 'zod'
import { defineReward, scoreEach } from './reward.ts'

export const finished = defineReward({
  type: 'finished',
  source: 'arXiv:1909.08593',
  summary: 'Whether the answer ends with an end token or a stop text, and was not truncated.',
  config: z.strictObject({
    ended: z.number().default(1).describe('reward of an answer that ends by itself'),
    truncated: z.number().default(0).describe('reward of an answer that reached the maximum length'),
  }),
  open: ({ ended, truncated }) => ({
    score: scoreEach(({ finishReason }) => (finishReason === 'eos' || finishReason === 'stop' ? ended : truncated)),
  }),
})
