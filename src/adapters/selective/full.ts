// Full fine-tuning: trains all parameters of the base, in place.
import { z } from 'zod'
import { defineAdapter } from '../adapter.ts'

const schema = z.strictObject({})

export const full = defineAdapter({
  type: 'full',
  source: 'arXiv:1810.04805',
  config: schema,
  learningRate: 5e-5,
  trainsMatrices: true,
  inPlace: true,
  family: 'full',
  plan: (model) => ({ placements: [], trained: [...model.parameters().keys()] }),
})
