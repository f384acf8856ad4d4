// Linear probing: trains the head only, on the hidden states of the frozen body. @source arXiv:1610.01644
import { z } from 'zod'
import { defineAdapter } from '../adapter.ts'

const schema = z.strictObject({})

export const linearProbe = defineAdapter({
  type: 'linear-probe',
  source: 'arXiv:1610.01644',
  config: schema,
  learningRate: 5e-3,
  family: 'features',
  trainsHead: true,
  plan: () => ({ placements: [], trained: [] }),
})
