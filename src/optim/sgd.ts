// Stochastic gradient descent with momentum. Its decay is added to the gradient, as in PyTorch, and so passes through momentum.
import { z } from 'zod'
import { eachParameter } from './each-parameter.ts'
import { averageField, defineOptimizer, groupFields } from './optimizer.ts'

/** State: 4 bytes a value with momentum, none without; 4 more for bfloat16 parameters, with their master. */
export const sgd = defineOptimizer({
  type: 'sgd',
  source: 'Sutskever et al., ICML 2013; torch.optim.SGD',
  summary: 'Gradient descent with momentum; 4 bytes of state a value, none without momentum.',
  config: z
    .strictObject({
      type: z.literal('sgd').describe('gradient descent with momentum'),
      momentum: averageField(0.9).describe('how much of the last update stays; 0 keeps no state'),
      dampening: z.number().min(0).max(1).default(0).describe('share of each gradient kept out of the momentum'),
      nesterov: z.boolean().default(false).describe('look ahead by one momentum step'),
      ...groupFields(0),
    })
    .refine(({ nesterov, momentum, dampening }) => !nesterov || (momentum > 0 && dampening === 0), {
      path: ['nesterov'],
      message: 'Expected a momentum and no dampening with `nesterov`, got another pair. Set one of them.',
    })
    .refine(({ momentum, dampening }) => dampening === 0 || momentum > 0, {
      path: ['dampening'],
      message: 'Expected a momentum with `dampening`, got 0. Without one it has no effect.',
    }),
  defaultLearningRate: () => 1e-3,
  slots: ({ momentum }, { shape }): Record<string, readonly number[]> => (momentum === 0 ? {} : { momentum: shape }),
  update: ({ momentum, dampening, nesterov }, updates, scale) =>
    eachParameter(updates, scale, ({ weight, slots, learningRate, weightDecay, count }, gradient) => {
      const pull = weightDecay === 0 ? gradient : gradient.add(weight, { alpha: weightDecay })
      if (momentum === 0) {
        weight.add_(pull, { alpha: -learningRate })
        return
      }
      // The first gradient enters whole, whatever the dampening.
      if (count === 1) slots.momentum.copy_(pull)
      else slots.momentum.mul_(momentum).add_(pull, { alpha: 1 - dampening })
      weight.add_(nesterov ? pull.add(slots.momentum, { alpha: momentum }) : slots.momentum, { alpha: -learningRate })
    }),
})
