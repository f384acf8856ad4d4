// Linear decay to a floor, after warmup.
import { decayAt, decayConfig, defineSchedule } from './schedule.ts'

export const linear = defineSchedule({
  type: 'linear',
  summary: 'Linear decay to the floor at the last step.',
  source: 'arXiv:1810.04805; transformers get_linear_schedule_with_warmup',
  config: decayConfig('linear', 'linear decay after warmup'),
  needsTotalSteps: () => true,
  at: decayAt((completed) => 1 - completed),
})
