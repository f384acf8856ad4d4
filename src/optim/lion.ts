// Lion: the sign of an average of gradients, so that every weight moves by the same amount.
import { z } from 'zod'
import { averageField, defineOptimizer, eachParameter, groupFields } from './optimizer.ts'

/** State: 4 bytes per element (one float32 average); 8 for bfloat16 parameters, with their master. */
export const lion = defineOptimizer({
  type: 'lion',
  source: 'arXiv:2302.06675; lion-pytorch',
  summary: 'The sign of the averaged gradient, decoupled weight decay; 4 bytes of state per element.',
  config: z.strictObject({
    type: z.literal('lion').describe('Lion; use a learning rate 3 to 10 times below that of AdamW'),
    beta1: averageField(0.9).describe('weight of the average against the new gradient in the update'),
    beta2: averageField(0.99).describe('decay of the average gradient'),
    ...groupFields(0),
  }),
  elementwise: true,
  defaultLearningRate: () => 1e-4,
  slots: (_, { shape }) => ({ first_moment: shape }),
  update: ({ beta1, beta2 }, updates, scale) =>
    eachParameter(updates, ({ weight, slots, learningRate, weightDecay }, gradient) => {
      if (weightDecay !== 0) weight.mul_(1 - learningRate * weightDecay)
      const direction = slots.first_moment.mul(beta1).add_(gradient, { alpha: (1 - beta1) * scale })
      weight.add_(direction.sign_(), { alpha: -learningRate })
      slots.first_moment.mul_(beta2).add_(gradient, { alpha: (1 - beta2) * scale })
    }),
})
