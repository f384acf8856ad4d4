// Down as one over the square root of the step, after warm-up; the length of the run does not matter.
import { z } from 'zod'
import { defineSchedule, oneWarmup, oneWarmupMessage, warmupFields, warmupLength } from './schedule.ts'

/** Where there is no warm-up to set the scale; as in transformers. */
const defaultTimescale = 10_000

export const inverseSquareRoot = defineSchedule({
  type: 'inverse-square-root',
  summary: 'Falls as one over the square root of the step; needs no end.',
  source: 'arXiv:1706.03762, arXiv:2106.04560; transformers get_inverse_sqrt_schedule',
  config: z
    .strictObject({
      type: z.literal('inverse-square-root').describe('falls as one over the square root of the step after warm-up'),
      ...warmupFields,
      timescale: z
        .number()
        .int()
        .min(1)
        .optional()
        .describe(
          'the rate is at half after three times as many steps; the warm-up unless given, or 10,000 without one',
        ),
    })
    .refine(oneWarmup, oneWarmupMessage),
  needsTotalSteps: ({ warmupShare }) => warmupShare > 0,
  at: (config, { step, totalSteps }) => {
    const warmup = warmupLength(config, totalSteps)
    if (step < warmup) return step / warmup
    const timescale = config.timescale ?? (warmup > 0 ? warmup : defaultTimescale)
    return 1 / Math.sqrt((step - warmup + timescale) / timescale)
  },
})
