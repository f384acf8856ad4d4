// Inverse square root decay, after warmup, independent of the length of the run.
import { z } from 'zod'
import { defineSchedule, oneWarmup, oneWarmupMessage, warmupFields, warmupLength } from './schedule.ts'

/** Without warmup, as in transformers. */
const defaultTimescale = 10_000

export const inverseSquareRoot = defineSchedule({
  type: 'inverse-square-root',
  summary: 'Inverse square root decay, for runs without a known end.',
  source: 'arXiv:1706.03762, arXiv:2106.04560; transformers get_inverse_sqrt_schedule',
  config: z
    .strictObject({
      type: z.literal('inverse-square-root').describe('inverse square root decay after warmup'),
      ...warmupFields,
      timescale: z
        .number()
        .int()
        .min(1)
        .optional()
        .describe(
          'time scale in steps: the rate halves after three of them (default: warmup steps, or 10,000 without warmup)',
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
