// Down in a straight line, after warm-up.
import { z } from 'zod'
import {
  defineSchedule,
  floorField,
  oneWarmup,
  oneWarmupMessage,
  progressAfter,
  warmupFields,
  warmupLength,
} from './schedule.ts'

export const linear = defineSchedule({
  type: 'linear',
  summary: 'Falls in a straight line to the floor at the last step.',
  source: 'arXiv:1810.04805; transformers get_linear_schedule_with_warmup',
  config: z
    .strictObject({
      type: z.literal('linear').describe('falls in a straight line after warm-up'),
      ...warmupFields,
      floor: floorField,
    })
    .refine(oneWarmup, oneWarmupMessage),
  needsTotalSteps: () => true,
  at: (config, position) => {
    const warmup = warmupLength(config, position.totalSteps)
    if (position.step < warmup) return position.step / warmup
    return config.floor + (1 - config.floor) * (1 - progressAfter(warmup, position))
  },
})
