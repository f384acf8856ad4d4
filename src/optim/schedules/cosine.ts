// Down along half a cosine, after warm-up. Beyond the last step it stays at the floor, where transformers would rise again.
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

export const cosine = defineSchedule({
  type: 'cosine',
  summary: 'Falls along half a cosine to the floor at the last step.',
  source: 'arXiv:1608.03983; transformers get_cosine_with_min_lr_schedule_with_warmup',
  config: z
    .strictObject({
      type: z.literal('cosine').describe('falls along half a cosine after warm-up'),
      ...warmupFields,
      floor: floorField,
    })
    .refine(oneWarmup, oneWarmupMessage),
  needsTotalSteps: () => true,
  at: (config, position) => {
    const warmup = warmupLength(config, position.totalSteps)
    if (position.step < warmup) return position.step / warmup
    const share = 0.5 * (1 + Math.cos(Math.PI * progressAfter(warmup, position)))
    return share * (1 - config.floor) + config.floor
  },
})
