// Schedule-free AdamW: an average of the iterates takes the place of a decaying learning rate, so that the length of the
// run need not be known. Gradients are taken between the iterate and the average; the average is evaluated and exported.
import { z } from 'zod'
import { defineOptimizer, eachParameter, groupFields, scaled } from './optimizer.ts'

/** State: 8 bytes per element; 12 for bfloat16 parameters, with their master. */
export const adamwScheduleFree = defineOptimizer({
  type: 'adamw-schedule-free',
  source: 'arXiv:2405.15682; schedulefree.AdamWScheduleFree',
  summary: 'AdamW with an average of the iterates instead of a decay; 8 bytes of state per element.',
  config: z.strictObject({
    type: z
      .literal('adamw-schedule-free')
      .describe('AdamW that needs no decay: use the schedule constant, with warmup'),
    beta1: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.9)
      .describe('place of the gradients between the iterate (0) and the average (1)'),
    beta2: z.number().min(0).lt(1).default(0.999).describe('decay of the average squared gradient'),
    eps: z.number().gt(0).default(1e-8).describe('added to the root of the average square, for stability'),
    ...groupFields(0),
  }),
  defaultLearningRate: () => 2.5e-3,
  slots: (_, { shape }) => ({ iterate: shape, second_moment: shape, weight_sum: [1], largest_rate: [1] }),
  update: ({ beta1, beta2, eps }, updates, scale) =>
    eachParameter(updates, ({ weight, slots, learningRate, weightDecay, count }, unscaled) => {
      const { iterate, second_moment: second, weight_sum: sum, largest_rate: largest } = slots
      if (count === 1) iterate.copy_(weight)
      const gradient = scaled(unscaled, scale)
      second.mul_(beta2).addcmul_(gradient, gradient, { value: 1 - beta2 })
      const root = second
        .div(1 - beta2 ** count)
        .sqrt()
        .add_(eps)
      const step = gradient.div(root)
      if (weightDecay !== 0) step.add_(weight, { alpha: weightDecay })
      // Iterates count by the square of the largest rate so far.
      const rate = Math.max(largest.item(), learningRate)
      const total = sum.item() + rate ** 2
      largest.fill_(rate)
      sum.fill_(total)
      const share = total > 0 ? rate ** 2 / total : 0
      weight.lerp_(iterate, share)
      weight.add_(step, { alpha: learningRate * (beta1 * (1 - share) - 1) })
      iterate.sub_(step, { alpha: learningRate })
    }),
  evaluated: ({ beta1 }, { weight, slots: { iterate }, count }) =>
    count === 0 ? weight : weight.lerp(iterate, 1 - 1 / beta1),
})
