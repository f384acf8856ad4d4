// Cosine decay to a floor, after warmup. Beyond the last step it stays at the floor, where transformers would rise again.
import { decayAt, decayConfig, defineSchedule } from './schedule.ts'

export const cosine = defineSchedule({
  type: 'cosine',
  summary: 'Cosine decay to the floor at the last step.',
  source: 'arXiv:1608.03983; transformers get_cosine_with_min_lr_schedule_with_warmup',
  config: decayConfig('cosine', 'cosine decay after warmup'),
  needsTotalSteps: () => true,
  at: decayAt((completed) => 0.5 * (1 + Math.cos(Math.PI * completed))),
})
