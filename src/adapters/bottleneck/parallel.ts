// Bottleneck adapters parallel to the feed-forward block of every layer, on the same input. @source arXiv:2110.04366
import { z } from 'zod'
import { defineAdapter } from '../adapter.ts'
import { attachBeside, bottleneckFields, settleSize, withoutLayers } from './config.ts'

const schema = z.strictObject({ ...bottleneckFields({ scale: 4 }) })

export const parallel = defineAdapter({
  type: 'parallel',
  source: 'arXiv:2110.04366',
  config: schema,
  learningRate: 1e-3,
  resolveConfig: settleSize,
  dropLayers: withoutLayers,
  plan: (model, config, context) => attachBeside(model, config, context),
})
