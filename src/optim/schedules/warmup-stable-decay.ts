// A plateau between warm-up and a short decay at the end, so that one long run can be ended at any length.
import { z } from 'zod'
import { defineSchedule, floorField, oneWarmup, oneWarmupMessage, warmupFields, warmupLength } from './schedule.ts'

/** What is left of the way down, by its done share. */
const shapes = {
  linear: (done: number) => 1 - done,
  '1-sqrt': (done: number) => 1 - Math.sqrt(done),
  cosine: (done: number) => 0.5 * (1 + Math.cos(Math.PI * done)),
} as const

export const warmupStableDecay = defineSchedule({
  type: 'warmup-stable-decay',
  summary: 'Stays at the peak, then falls to the floor over the last part of the run.',
  source: 'arXiv:2404.06395, arXiv:2405.18392; transformers get_wsd_schedule',
  config: z
    .strictObject({
      type: z.literal('warmup-stable-decay').describe('stays at the peak, then falls at the end'),
      ...warmupFields,
      decaySteps: z.number().int().min(1).optional().describe('steps of decay at the end'),
      decayShare: z.number().gt(0).max(1).optional().describe('the same as a share of all steps; 0.2 unless given'),
      decayShape: z.enum(['linear', '1-sqrt', 'cosine']).default('1-sqrt').describe('how the decay falls'),
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
    // In a run too short for both, the decay takes all that warm-up leaves.
    const decay = Math.max(0, Math.min(wanted, totalSteps - warmup))
    const start = totalSteps - decay
    if (step < start) return 1
    const left = step >= totalSteps ? 0 : shapes[config.decayShape]((step - start) / decay)
    return left * (1 - config.floor) + config.floor
  },
})
