// Adafactor: the average squared gradient of a matrix factored into a row and a column, and updates relative to the weights.
import { z } from 'zod'
import { type Tensor, zeros } from '../tensor/index.ts'
import { averageField, defineOptimizer, eachParameter, groupFields, scaled } from './optimizer.ts'

const rootMeanSquare = (values: Tensor): Tensor => values.norm(2).mul_(1 / Math.sqrt(Math.max(1, values.size)))

/** The inverse root of the average square, approximated by a matrix of rank 1. */
const factoredInverseRoot = (rows: Tensor, columns: Tensor): Tensor =>
  rows
    .div(rows.mean(-1, { keepdim: true }))
    .rsqrt()
    .unsqueeze(-1)
    .mul(columns.rsqrt().unsqueeze(-2))

/**
 * State: 4 bytes per row and column of a matrix and per element of a vector, plus 4 bytes per element with `beta1` and for the
 * float32 master of bfloat16 parameters. The learning rate is a factor of the relative step: 1 in the paper.
 */
export const adafactor = defineOptimizer({
  type: 'adafactor',
  source: 'arXiv:1804.04235; transformers.Adafactor',
  summary: 'Factored average of squares, updates relative to the weights; 4 bytes of state per row and column.',
  config: z
    .strictObject({
      type: z.literal('adafactor').describe('Adafactor'),
      relativeStep: z
        .boolean()
        .default(true)
        .describe('learning rate times min(0.01, 1/sqrt(step)); the paper has a learning rate of 1'),
      scaleParameter: z.boolean().default(true).describe('scale updates by the root mean square of the weights'),
      warmupInit: z.boolean().default(false).describe('warmup of the relative step from 1e-6'),
      beta1: averageField(0).describe('decay of the average update; 0 disables it'),
      decayRate: z.number().lt(0).min(-1).default(-0.8).describe('exponent of the decay of the average square'),
      clipThreshold: z.number().gt(0).default(1).describe('maximum root mean square of an update'),
      eps: z.number().gt(0).default(1e-30).describe('added to squared gradients'),
      minScale: z
        .number()
        .min(0)
        .default(1e-3)
        .describe('minimum root mean square of the weights for `scaleParameter`'),
      ...groupFields(0),
    })
    .refine(({ relativeStep, warmupInit }) => relativeStep || !warmupInit, {
      path: ['warmupInit'],
      message: '`warmupInit` needs `relativeStep`: set it, or use the warmup of the schedule.',
    }),
  defaultLearningRate: ({ relativeStep }) => (relativeStep ? 1 : 1e-3),
  slots: ({ beta1 }, { shape }) => ({
    ...(shape.length >= 2
      ? { row_square: shape.slice(0, -1), column_square: [...shape.slice(0, -2), shape[shape.length - 1]] }
      : { second_moment: shape }),
    ...(beta1 === 0 ? {} : { first_moment: shape }),
  }),
  update: (config, updates, scale) =>
    eachParameter(updates, ({ weight, slots, learningRate, weightDecay, count }, unscaled) => {
      const { beta1, eps, clipThreshold, minScale } = config
      const gradient = scaled(unscaled, scale)
      const relative = Math.min(config.warmupInit ? 1e-6 * count : 1e-2, 1 / Math.sqrt(count))
      const rate = learningRate * (config.relativeStep ? relative : 1)
      const weightOfNew = count ** config.decayRate
      const square = gradient.square()
      let inverseRoot: Tensor
      if (slots.second_moment === undefined) {
        slots.row_square.mul_(1 - weightOfNew).add_(square.mean(-1).add_(eps), { alpha: weightOfNew })
        slots.column_square.mul_(1 - weightOfNew).add_(square.mean(-2).add_(eps), { alpha: weightOfNew })
        inverseRoot = factoredInverseRoot(slots.row_square, slots.column_square)
      } else {
        slots.second_moment.mul_(1 - weightOfNew).add_(square.add_(eps), { alpha: weightOfNew })
        inverseRoot = slots.second_moment.rsqrt()
      }
      const update = inverseRoot.mul_(gradient)
      const size = config.scaleParameter
        ? rootMeanSquare(weight).clamp_({ min: minScale }).mul_(rate)
        : zeros([], { device: weight.device }).fill_(rate)
      const factor = size.div(rootMeanSquare(update).div_(clipThreshold).clamp_({ min: 1 }))
      if (weightDecay !== 0) weight.addcmul_(weight, size, { value: -weightDecay })
      if (beta1 === 0) weight.addcmul_(update, factor, { value: -1 })
      else {
        slots.first_moment.mul_(beta1).addcmul_(update, factor, { value: 1 - beta1 })
        weight.sub_(slots.first_moment)
      }
    }),
})
