// The reward that an environment gave to an episode, as one of the rewards that are summed.
import { z } from 'zod'
import { defineReward, scoreEach } from './reward.ts'

export const environmentReward = defineReward({
  type: 'environment',
  source: 'the environment',
  summary: 'The sum of the rewards that the environment gave in the turns of an episode.',
  config: z.strictObject({}),
  needsEnvironment: true,
  open: () => ({ score: scoreEach(({ episode }) => episode?.reward ?? null) }),
})
