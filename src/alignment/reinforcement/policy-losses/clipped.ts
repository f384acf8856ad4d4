// The clipped surrogate of PPO for any probability ratio, and the ratios: of tokens, and of whole answers.
// @source PPO, arXiv:1707.06347; dual clip, arXiv:1912.09729
import { z } from 'zod'
import { noGrad, type Tensor } from '../../../tensor/index.ts'
import type { PolicyTokens, TokenLosses } from './policy-loss.ts'

/** Largest absolute log-ratio: beyond it the exponential would overflow. */
const mostLogRatio = 20

/** Logarithm of the ratio of each token, limited to ±20. */
export const logRatioOf = ({ logProbs, oldLogProbs }: PolicyTokens): Tensor =>
  logProbs.sub(oldLogProbs).clamp({ min: -mostLogRatio, max: mostLogRatio })

/** The settings of clipping, with the defaults of a loss. */
export const clipFields = (low: number, high: number) => ({
  clipLow: z.number().min(0).max(1).default(low).describe('ratios below 1 minus this are clipped'),
  clipHigh: z.number().min(0).default(high).describe('ratios above 1 plus this are clipped'),
})

/** The setting of the second clip, at negative advantages. */
export const dualClipField = {
  dualClip: z
    .number()
    .gt(1)
    .optional()
    .describe('ratios above this are clipped at negative advantages too, which are unbounded otherwise; often 3'),
}

/** Settings of clipping. */
export interface ClipConfig {
  clipLow: number
  clipHigh: number
  dualClip?: number
}

/**
 * `−min(ρA, clip(ρ, 1 − low, 1 + high)A)`, with ρ at most `dualClip`.
 * @param ratio float32 [N], with a gradient
 */
export const clippedLosses = (
  ratio: Tensor,
  { advantages }: Pick<PolicyTokens, 'advantages'>,
  { clipLow, clipHigh, dualClip }: ClipConfig,
): TokenLosses => {
  const bounded = dualClip === undefined ? ratio : ratio.clamp({ max: dualClip })
  const clipped = ratio.clamp({ min: 1 - clipLow, max: 1 + clipHigh })
  const losses = bounded.mul(advantages).minimum(clipped.mul(advantages)).neg()
  return { losses, ratio, clipped: clippedTokens(ratio, advantages, { clipLow, clipHigh }) }
}

/** Tokens whose clipped ratio decides the loss, so that they have no gradient: bool [N] each. */
export const clippedTokens = (
  ratio: Tensor,
  advantages: Tensor,
  { clipLow, clipHigh }: Pick<ClipConfig, 'clipLow' | 'clipHigh'>,
): { low: Tensor; high: Tensor } =>
  noGrad(() => ({
    low: ratio.lt(1 - clipLow).logicalAnd(advantages.lt(0)),
    high: ratio.gt(1 + clipHigh).logicalAnd(advantages.gt(0)),
  }))
