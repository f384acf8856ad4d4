// AdamW: running averages of the gradient and of its square, with decoupled weight decay.
import { z } from 'zod'
import { adamw_, empty, tensor } from '../tensor/index.ts'
import { defineOptimizer, groupFields, momentFields, type ParameterUpdate } from './optimizer.ts'

export interface AdamwSettings {
  beta1: number
  beta2: number
  eps: number
}

export const adamwSlots = (shape: readonly number[]) => ({ first_moment: shape, second_moment: shape })

/** One call for all parameters that also rounds the bfloat16 copies; on the CPU one fused loop. */
export const adamwUpdate = (
  { beta1, beta2, eps }: AdamwSettings,
  updates: readonly ParameterUpdate[],
  scale: number,
): void => {
  const byCount = new Map<number, ParameterUpdate[]>()
  for (const update of updates) {
    const alike = byCount.get(update.count)
    if (alike === undefined) byCount.set(update.count, [update])
    else alike.push(update)
  }
  const none = empty([0], { dtype: 'bfloat16' })
  const factor = scale === 1 ? undefined : tensor(scale)
  for (const [count, alike] of byCount) {
    const each = <Value>(pick: (update: ParameterUpdate) => Value): Value[] => alike.map(pick)
    const weights = each(({ weight }) => weight)
    adamw_(weights, {
      expAvgs: each(({ slots }) => slots.first_moment),
      expAvgSqs: each(({ slots }) => slots.second_moment),
      workingCopies: each(({ copy }) => copy ?? none),
      grads: each(({ gradient }) => gradient),
      learningRates: each(({ learningRate }) => learningRate),
      weightDecays: each(({ weightDecay }) => weightDecay),
      beta1,
      beta2,
      eps,
      step: count,
      gradScale: factor,
    })
  }
}

/** State: 8 bytes per element (two float32 averages); 12 for bfloat16 parameters, with their master. */
export const adamw = defineOptimizer({
  type: 'adamw',
  source: 'arXiv:1711.05101; torch.optim.AdamW',
  summary: 'Averages of the gradient and its square, decoupled weight decay; 8 bytes of state per element.',
  config: z.strictObject({
    type: z.literal('adamw').describe('AdamW'),
    ...momentFields(1e-8),
    ...groupFields(0.01),
  }),
  elementwise: true,
  defaultLearningRate: () => 1e-3,
  slots: (_, { shape }) => adamwSlots(shape),
  update: adamwUpdate,
})
