// Cosine decay to a floor, several times: each cycle begins at the peak again. @source arXiv:1608.03983
import { z } from 'zod'
import { decayAt, decayFields, defineSchedule, oneWarmup, oneWarmupMessage } from './schedule.ts'

export const cosineRestarts = defineSchedule({
  type: 'cosine-restarts',
  summary: 'Cosine decay to the floor in several equal cycles.',
  source: 'arXiv:1608.03983; transformers get_cosine_with_hard_restarts_schedule_with_warmup',
  config: z
    .strictObject({
      type: z.literal('cosine-restarts').describe('cosine decay in several cycles after warmup'),
      cycles: z.int().min(2).max(1000).default(4).describe('number of cycles, each from the peak to the floor'),
      ...decayFields,
    })
    .refine(oneWarmup, oneWarmupMessage),
  needsTotalSteps: () => true,
  at: (config, position) =>
    decayAt((completed) => (completed >= 1 ? 0 : 0.5 * (1 + Math.cos(Math.PI * ((config.cycles * completed) % 1)))))(
      config,
      position,
    ),
})
