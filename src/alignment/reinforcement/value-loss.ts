// The loss of a critic: the squared error of its values, where they may not move far from those before the update.
// @source arXiv:1707.06347; with clipping as in OpenAI's baselines
import { z } from 'zod'
import { noGrad, type Tensor } from '../../tensor/index.ts'

/** Settings of the critic's loss. */
export const valueLossSchema = z.strictObject({
  coefficient: z.number().positive().default(0.1).describe('weight of the loss of the critic'),
  clip: z
    .number()
    .positive()
    .nullable()
    .default(0.2)
    .describe('largest change of a value that lowers the loss; null for none'),
})

/** Checked settings of the critic's loss. */
export type ValueLossConfig = z.output<typeof valueLossSchema>

/**
 * `½ · max((V − R)², (V_old + clip(V − V_old) − R)²)` of each token.
 * @param values float32 [N], with a gradient
 * @param targets.returns float32 [N]
 * @param targets.oldValues float32 [N], before the update
 * @returns `clipped`: bool [N], tokens whose clipped value has the larger error
 */
export const valueLosses = (
  values: Tensor,
  { returns, oldValues }: { returns: Tensor; oldValues: Tensor },
  { clip }: Pick<ValueLossConfig, 'clip'>,
): { losses: Tensor; clipped?: Tensor } => {
  const plain = values.sub(returns).square()
  if (clip === null) return { losses: plain.mul(0.5) }
  // Within the bounds the value itself, not a rounded sum, so that both errors are equal there.
  const moved = values
    .clamp({ min: oldValues.sub(clip), max: oldValues.add(clip) })
    .sub(returns)
    .square()
  return { losses: plain.maximum(moved).mul(0.5), clipped: noGrad(() => moved.gt(plain)) }
}
