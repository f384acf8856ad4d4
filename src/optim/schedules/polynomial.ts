// Polynomial decay to a floor, after warmup: linear with the power 1, steeper at first with more.
import { z } from 'zod'
import { decayAt, decayFields, defineSchedule, oneWarmup, oneWarmupMessage } from './schedule.ts'

export const polynomial = defineSchedule({
  type: 'polynomial',
  summary: 'Polynomial decay to the floor at the last step.',
  source: 'transformers get_polynomial_decay_schedule_with_warmup',
  config: z
    .strictObject({
      type: z.literal('polynomial').describe('polynomial decay after warmup'),
      power: z.number().gt(0).max(10).default(2).describe('power of the share of the steps that is left'),
      ...decayFields,
    })
    .refine(oneWarmup, oneWarmupMessage),
  needsTotalSteps: () => true,
  at: (config, position) => decayAt((completed) => (1 - completed) ** config.power)(config, position),
})
