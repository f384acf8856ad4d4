// Bottleneck adapters after the feed-forward block of every layer only. @source arXiv:2005.00247
import { z } from 'zod'
import { defineAdapter } from '../adapter.ts'
import { attachAfter, bottleneckFields, settleSize, withoutLayers } from './config.ts'

const schema = z.strictObject({ ...bottleneckFields({ scale: 1 }) })

export const pfeiffer = defineAdapter({
  type: 'pfeiffer',
  source: 'arXiv:2005.00247',
  config: schema,
  learningRate: 1e-3,
  resolveConfig: settleSize,
  dropLayers: withoutLayers,
  plan: (model, config, context) => attachAfter(model, ['downProj'], config, context),
})
