// Warmup-stable-decay: a constant phase, then a short decay at the end, so that a long run can be ended at any length.
// Warmup starts at 0 as in all schedules, where that of transformers starts at the floor.
import { z } from 'zod'
import { defineSchedule, floorField, oneWarmup, oneWarmupMessage, warmupFields, warmupLength } from './schedule.ts'

/** Remaining share of the decay, by its completed share. */
const shapes = {
  linear: (done: number) => 1 - done,
  '1-sqrt': (done: number) => 1 - Math.sqrt(done),
  cosine: (done: number) => 0.5 * (1 + Math.cos(Math.PI * done)),
} as const

export const warmupStableDecay = defineSchedule({
  type: 'warmup-stable-decay',
  summary: 'Constant at the peak, then decay to the floor in the last part of the run.',
  source: 'arXiv:2404.06395, arXiv:2405.18392; transformers get_wsd_schedule',
  config: z
    .strictObject({
      type: z.literal('warmup-stable-decay').describe('constant after warmup, then decay at the end'),
      ...warmupFields,
      decaySteps: z.number().int().min(1).optional().describe('decay at the end, in steps'),
      decayShare: z
        .number()
        .gt(0)
        .max(1)
        .optional()
        .describe('decay at the end, as a share of all steps (default: 0.2)'),
      decayShape: z.enum(['linear', '1-sqrt', 'cosine']).default('1-sqrt').describe('shape of the decay'),
      floor: floorField,
    })
    .refine(oneWarmup, oneWarmupMessage)
    .refine(({ decaySteps, decayShare }) => decaySteps === undefined || decayShare === undefined, {
      path: ['decayShare'],
      message: 'Expected `decaySteps` or `decayShare`, got both. Remove one.',
    }),
  needsTotalSteps: () => true,
  at: (config, { step, totalSteps }) => {
    const warmup = warmupLength(config, totalSteps)
    if (step < warmup) return step / warmup
    const wanted = config.decaySteps ?? Math.ceil((config.decayShare ?? 0.2) * totalSteps)
    // In a run too short for both, the decay takes all steps after warmup.
    const decay = Math.max(0, Math.min(wanted, totalSteps - warmup))
    const start = totalSteps - decay
    if (step < start) return 1
    const left = step >= totalSteps ? 0 : shapes[config.decayShape]((step - start) / decay)
    return left * (1 - config.floor) + config.floor
  },
})
