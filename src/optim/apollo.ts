// APOLLO: SGD for hidden matrices, with learning rates by row, column or matrix that follow AdamW's on a random projection of the
// gradient. The projection is made anew from its seed in each step, so that it takes no memory.
import { z } from 'zod'
import { sha256 } from '../core/index.ts'
import { Generator, randn, type Tensor } from '../tensor/index.ts'
import { adamwSlots } from './adamw.ts'
import { defineOptimizer, eachParameter, groupFields, momentFields, type SlotShape, scaled } from './optimizer.ts'

/** Rank of a matrix in the projection. */
const rankOf = (rank: number, [rows, columns]: readonly number[]): number => Math.min(rank, rows, columns)

const isTall = ([rows, columns]: readonly number[]): boolean => rows >= columns

/** A seed that depends on the parameter and on how often its projection was changed. */
const seedOf = (path: string, change: number): number =>
  Number.parseInt(sha256(`apollo/${path}/${change}`).slice(0, 12), 16)

/** Normal values of variance 1/R: [columns,R] for a tall matrix, else [R,rows]. */
const projectionOf = (path: string, shape: readonly number[], rank: number, change: number): Tensor => {
  const generator = new Generator(seedOf(path, change))
  const size = isTall(shape) ? [rank, shape[1]] : [shape[0], rank]
  return randn(size, { generator }).div(Math.sqrt(rank)).t()
}

/** Largest growth of the norm of an update from step to step. @source arXiv:2410.01623, norm-growth limiter */
const mostGrowth = 1.01

/** State: 8 bytes per row or column and rank of hidden matrices; 8 per element of other parameters. */
export const apollo = defineOptimizer({
  type: 'apollo',
  source: 'arXiv:2412.05270; apollo_torch.APOLLOAdamW',
  summary:
    'Gradients of hidden matrices, scaled as AdamW would in a random projection; 8 bytes of state per row or column and rank, 8 per element for the rest.',
  config: z.strictObject({
    type: z
      .literal('apollo')
      .describe('scales the gradients of hidden matrices as AdamW would in a random projection of low rank'),
    rank: z.int().min(1).max(8192).default(256).describe('rank of the projection; 1 for APOLLO-Mini'),
    interval: z.int().min(1).default(200).describe('steps until the projection is changed'),
    scale: z
      .number()
      .gt(0)
      .default(1)
      .describe('updates of hidden matrices are multiplied by its root; 128 for APOLLO-Mini'),
    scaling: z
      .enum(['channel', 'tensor'])
      .default('channel')
      .describe('a factor for each row or column, or one for the matrix: tensor for APOLLO-Mini'),
    ...momentFields(1e-6),
    ...groupFields(0),
  }),
  defaultLearningRate: () => 1e-3,
  slots: ({ rank }, { shape, hiddenMatrix }): Record<string, SlotShape> => {
    if (!hiddenMatrix) return adamwSlots(shape)
    const narrow = rankOf(rank, shape)
    const reduced = isTall(shape) ? [shape[0], narrow] : [narrow, shape[1]]
    return { ...adamwSlots(reduced), update_norm: [1] }
  },
  update: (config, updates, scale) =>
    eachParameter(updates, ({ path, weight, slots, learningRate, weightDecay, count, shape }, unscaled) => {
      const { beta1, beta2, eps, interval, scaling } = config
      const { first_moment: first, second_moment: second, update_norm: before } = slots
      const full = scaled(unscaled, scale)
      const tall = isTall(shape)
      let gradient: Tensor = full
      if (before !== undefined) {
        const change = Math.floor((count - 1) / interval)
        const projection = projectionOf(path, shape, rankOf(config.rank, shape), change).to({ device: full.device })
        gradient = tall ? full.matmul(projection) : projection.matmul(full)
      }
      first.mul_(beta1).add_(gradient, { alpha: 1 - beta1 })
      second.mul_(beta2).addcmul_(gradient, gradient, { value: 1 - beta2 })
      let update = first.div(second.sqrt().add_(eps))
      if (before !== undefined) {
        const across = tall ? 1 : 0
        const [adapted, plain] = [update, gradient].map((one) =>
          scaling === 'tensor' ? one.norm() : one.square().sum(across, { keepdim: true }).sqrt(),
        )
        const wanted = full.mul(adapted.div(plain.add(1e-8)))
        const norm = wanted.norm()
        const limit = count === 1 ? norm : before.add(1e-8).mul(mostGrowth).squeeze(0)
        const limited = norm.minimum(limit)
        update = wanted.mul(limited.div(norm.add(1e-38))).mul(Math.sqrt(config.scale))
        before.copy_(limited.unsqueeze(0))
      }
      const rate = (learningRate * Math.sqrt(1 - beta2 ** count)) / (1 - beta1 ** count)
      weight.add_(update, { alpha: -rate })
      if (weightDecay !== 0) weight.mul_(1 - learningRate * weightDecay)
    }),
})
