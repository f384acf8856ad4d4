// Bottleneck adapters after attention and after the feed-forward block of every layer. @source arXiv:1902.00751
import { z } from 'zod'
import { defineAdapter } from '../adapter.ts'
import { attachAfter, bottleneckFields, settleSize, withoutLayers } from './config.ts'

const schema = z.strictObject({ ...bottleneckFields({ scale: 1 }) })

export const houlsby = defineAdapter({
  type: 'houlsby',
  source: 'arXiv:1902.00751',
  config: schema,
  learningRate: 1e-3,
  resolveConfig: settleSize,
  dropLayers: withoutLayers,
  plan: (model, config, context) => attachAfter(model, ['oProj', 'downProj'], config, context),
})
