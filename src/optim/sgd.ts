// Stochastic gradient descent with momentum. Weight decay is added to the gradient, as in PyTorch, so momentum applies to it.
import { z } from 'zod'
import type { Tensor } from '../tensor/index.ts'
import { averageField, defineOptimizer, eachParameter, groupFields } from './optimizer.ts'

/** State: 4 bytes per element with momentum, none without; 4 more for bfloat16 parameters, with their master. */
export const sgd = defineOptimizer({
  type: 'sgd',
  source: 'Sutskever et al., ICML 2013; torch.optim.SGD',
  summary: 'Gradient descent with momentum; 4 bytes of state per element, none without momentum.',
  config: z
    .strictObject({
      type: z.literal('sgd').describe('gradient descent with momentum'),
      momentum: averageField(0.9).describe('decay of the accumulated gradient; 0 disables momentum'),
      dampening: z
        .number()
        .min(0)
        .max(1)
        .default(0)
        .describe('share of each gradient that is left out of the momentum'),
      nesterov: z.boolean().default(false).describe('Nesterov momentum'),
      ...groupFields(0),
    })
    .refine(({ nesterov, momentum, dampening }) => !nesterov || (momentum > 0 && dampening === 0), {
      path: ['nesterov'],
      message: '`nesterov` needs momentum and no dampening: set `momentum` above 0 and `dampening` to 0.',
    })
    .refine(({ momentum, dampening }) => dampening === 0 || momentum > 0, {
      path: ['dampening'],
      message: '`dampening` needs momentum: set `momentum` above 0.',
    }),
  elementwise: true,
  defaultLearningRate: () => 1e-3,
  slots: ({ momentum }, { shape }): Record<string, readonly number[]> => (momentum === 0 ? {} : { momentum: shape }),
  update: ({ momentum, dampening, nesterov }, updates, scale) =>
    eachParameter(updates, ({ weight, slots, learningRate, weightDecay, count }, gradient) => {
      const velocity: Tensor | undefined = slots.momentum
      if (velocity !== undefined) {
        // The first gradient is not dampened.
        const share = count === 1 ? 1 : 1 - dampening
        velocity.mul_(momentum).add_(gradient, { alpha: share * scale })
        if (weightDecay !== 0) velocity.add_(weight, { alpha: share * weightDecay })
      }
      if (velocity === undefined || nesterov) {
        if (weightDecay !== 0) weight.mul_(1 - learningRate * weightDecay)
        weight.add_(gradient, { alpha: -learningRate * scale })
      }
      if (velocity !== undefined) weight.add_(velocity, { alpha: -learningRate * (nesterov ? momentum : 1) })
    }),
})
