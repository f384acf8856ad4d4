// Constant learning rate, after warmup.
import { z } from 'zod'
import { defineSchedule, oneWarmup, oneWarmupMessage, warmupFields, warmupLength } from './schedule.ts'

export const constant = defineSchedule({
  type: 'constant',
  summary: 'Constant at the peak after warmup.',
  source: 'transformers get_constant_schedule_with_warmup',
  config: z
    .strictObject({ type: z.literal('constant').describe('constant after warmup'), ...warmupFields })
    .refine(oneWarmup, oneWarmupMessage),
  needsTotalSteps: ({ warmupShare }) => warmupShare > 0,
  at: (config, { step, totalSteps }) => {
    const warmup = warmupLength(config, totalSteps)
    return step < warmup ? step / warmup : 1
  },
})
