// GaLore: AdamW on the gradients of hidden matrices in a low-rank subspace, which follows their singular vectors.
import { z } from 'zod'
import { largestSingular, type Tensor } from '../tensor/index.ts'
import { defineOptimizer, eachParameter, groupFields, momentFields, type SlotShape, scaled } from './optimizer.ts'

/** Rank of a matrix in the subspace. */
const rankOf = (rank: number, [rows, columns]: readonly number[]): number => Math.min(rank, rows, columns)

/** State: 4 bytes per element of the projection and 8 per element in the subspace; 8 per element of other parameters. */
export const galore = defineOptimizer({
  type: 'galore',
  source: 'arXiv:2403.03507; galore_torch.GaLoreAdamW',
  summary:
    'AdamW in a low-rank subspace of hidden matrices; 12 bytes of state per row or column and rank, 8 for the rest.',
  config: z.strictObject({
    type: z.literal('galore').describe('AdamW in a low-rank subspace of the gradients of hidden matrices'),
    rank: z.int().min(1).max(8192).default(128).describe('rank of the subspace'),
    interval: z.int().min(1).default(200).describe('steps until the subspace is computed anew'),
    scale: z.number().gt(0).default(0.25).describe('factor of the updates of hidden matrices'),
    ...momentFields(1e-6),
    ...groupFields(0),
  }),
  defaultLearningRate: () => 1e-3,
  slots: ({ rank }, { shape, hiddenMatrix }): Record<string, SlotShape> => {
    if (!hiddenMatrix) return { first_moment: shape, second_moment: shape }
    const [rows, columns] = shape
    const narrow = rankOf(rank, shape)
    const reduced = rows >= columns ? [rows, narrow] : [narrow, columns]
    return { projection: [Math.min(rows, columns), narrow], first_moment: reduced, second_moment: reduced }
  },
  update: (config, updates, scale) =>
    eachParameter(updates, ({ weight, slots, learningRate, weightDecay, count }, unscaled) => {
      const { beta1, beta2, eps } = config
      const { projection, first_moment: first, second_moment: second } = slots
      const full = scaled(unscaled, scale)
      const tall = weight.shape[0] >= (weight.shape[1] ?? 0)
      if (projection !== undefined && (count - 1) % config.interval === 0) {
        const [u, , v] = largestSingular(full, projection.shape[1])
        const vectors = tall ? v : u
        // Signs of singular vectors are free: those of before go on, or the averages would mean something else.
        const flipped = vectors.mul(projection).sum(0).lt(0).to('float32').mul(-2).add(1)
        projection.copy_(vectors.mul(flipped))
      }
      let gradient: Tensor = full
      if (projection !== undefined) gradient = tall ? full.matmul(projection) : projection.t().matmul(full)
      first.mul_(beta1).add_(gradient, { alpha: 1 - beta1 })
      second.mul_(beta2).addcmul_(gradient, gradient, { value: 1 - beta2 })
      let update = first.div(second.sqrt().add_(eps))
      if (projection !== undefined)
        update = (tall ? update.matmul(projection.t()) : projection.matmul(update)).mul_(config.scale)
      const rate = (learningRate * Math.sqrt(1 - beta2 ** count)) / (1 - beta1 ** count)
      weight.add_(update, { alpha: -rate })
      if (weightDecay !== 0) weight.mul_(1 - learningRate * weightDecay)
    }),
})
