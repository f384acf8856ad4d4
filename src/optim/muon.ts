// Muon: momentum orthogonalised by Newton-Schulz iterations, for the matrices of hidden layers; AdamW for embeddings, heads,
// norms and biases.
import { z } from 'zod'
import { linear, type Tensor } from '../tensor/index.ts'
import { adamwSlots, adamwUpdate } from './adamw.ts'
import { eachParameter } from './each-parameter.ts'
import { averageField, defineOptimizer, groupFields } from './optimizer.ts'

const [a, b, c] = [3.4445, -4.775, 2.0315]

/**
 * `beta` sum + `alpha` left right. float32 uses `linear`, which is up to twice as fast as MKL on AMD processors; bfloat16 is
 * rounded once.
 */
const combine = (sum: Tensor, left: Tensor, right: Tensor, beta: number, alpha: number): Tensor =>
  sum.dtype === 'float32'
    ? linear(left, right.t()).mul_(alpha).add_(sum, { alpha: beta })
    : sum.addmm(left, right, { beta, alpha })

/**
 * A matrix [R,C] with the same singular vectors and singular values near 1 (0.7 to 1.2).
 * @source kellerjordan.github.io/posts/muon
 */
const orthogonalize = (matrix: Tensor, steps: number, dtype: 'float32' | 'bfloat16'): Tensor => {
  const [rows, columns] = matrix.shape
  const tall = rows > columns
  const given = matrix.to(dtype)
  let x = tall ? given.t() : given
  x = x.div(x.norm().clamp({ min: 1e-7 }))
  for (let i = 0; i < steps; i++) {
    const gram = linear(x, x)
    x = combine(x, combine(gram, gram, gram, b, c), x, a, 1)
  }
  return tall ? x.t() : x
}

/** Size of the update of a matrix, relative to the learning rate. */
const adjustments = {
  original: (rows: number, columns: number) => Math.sqrt(Math.max(1, rows / columns)),
  'match-rms-adamw': (rows: number, columns: number) => 0.2 * Math.sqrt(Math.max(rows, columns)),
} as const

/** State: 4 bytes per element of hidden matrices, 8 of the rest; 4 more for bfloat16 parameters, with their master. */
export const muon = defineOptimizer({
  type: 'muon',
  source: 'kellerjordan.github.io/posts/muon, arXiv:2502.16982; torch.optim.Muon, torch.optim.AdamW',
  summary: 'Orthogonal updates of hidden matrices, AdamW for the rest; 4 bytes of state per element, 8 for the rest.',
  config: z.strictObject({
    type: z.literal('muon').describe('Muon, with AdamW for embeddings, heads, norms and biases'),
    momentum: averageField(0.95).describe('decay of the average gradient'),
    nesterov: z.boolean().default(true).describe('Nesterov momentum'),
    newtonSchulzSteps: z.number().int().min(1).max(20).default(5).describe('Newton-Schulz iterations per update'),
    newtonSchulzDtype: z
      .enum(['float32', 'bfloat16'])
      .default('float32')
      .describe('dtype of the iterations; bfloat16 is faster where the processor supports it'),
    adjustment: z
      .enum(['original', 'match-rms-adamw'])
      .default('match-rms-adamw')
      .describe('size of the updates: as published, or as large as those of AdamW'),
    otherLearningRateScale: z
      .number()
      .gt(0)
      .default(1)
      .describe("learning rate of AdamW for the rest, relative to Muon's; about 0.015 with `original`"),
    beta1: averageField(0.9).describe('decay of the average gradient of AdamW'),
    beta2: averageField(0.95).describe('decay of the average squared gradient of AdamW'),
    eps: z.number().gt(0).default(1e-8).describe('added to the root of the average square of AdamW, for stability'),
    ...groupFields(0.1),
  }),
  defaultLearningRate: ({ adjustment }) => (adjustment === 'original' ? 0.02 : 1e-3),
  slots: (_, { shape, hiddenMatrix }) => (hiddenMatrix ? { momentum: shape } : adamwSlots(shape)),
  update: (config, updates, scale) => {
    const { momentum, nesterov, newtonSchulzSteps, newtonSchulzDtype, adjustment } = config
    eachParameter(
      updates.filter(({ hiddenMatrix }) => hiddenMatrix),
      ({ weight, slots, shape, learningRate, weightDecay }, gradient) => {
        const average = slots.momentum
        const alpha = (1 - momentum) * scale
        average.mul_(momentum).add_(gradient, { alpha })
        const direction = nesterov ? average.mul(momentum).add_(gradient, { alpha }) : average
        const update = orthogonalize(direction, newtonSchulzSteps, newtonSchulzDtype)
        weight.mul_(1 - learningRate * weightDecay)
        weight.add_(update, { alpha: -learningRate * adjustments[adjustment](shape[0], shape[1]) })
      },
    )
    const rest = updates
      .filter(({ hiddenMatrix }) => !hiddenMatrix)
      .map((update) => ({ ...update, learningRate: update.learningRate * config.otherLearningRateScale }))
    if (rest.length > 0) adamwUpdate(config, rest, scale)
  },
})
