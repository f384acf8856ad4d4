// GMPO: the geometric mean of the ratios of an answer's tokens, each of which is clipped as logarithm on the side where
// PPO clips.
// @source arXiv:2507.20673
import { z } from 'zod'
import { aggregationField } from './aggregation.ts'
import { clippedTokens, logRatioOf } from './clipped.ts'
import { definePolicyLoss } from './policy-loss.ts'

const schema = z.strictObject({
  clipLow: z.number().nonnegative().default(0.4).describe('log-ratios below minus this are clipped'),
  clipHigh: z.number().nonnegative().default(0.4).describe('log-ratios above this are clipped'),
  aggregation: aggregationField('answer-mean'),
})

export const gmpo = definePolicyLoss({
  type: 'gmpo',
  source: 'arXiv:2507.20673',
  config: schema,
  losses(tokens, { clipLow, clipHigh }) {
    const { advantages, answers } = tokens
    const logRatio = logRatioOf(tokens)
    const limited = logRatio.clamp({ min: -clipLow, max: clipHigh })
    const oneSided = logRatio.minimum(limited).where(advantages.gt(0), logRatio.maximum(limited))
    const ofAnswer = answers.mean(oneSided).exp()
    const bounds = { clipLow: 1 - Math.exp(-clipLow), clipHigh: Math.expm1(clipHigh) }
    return {
      losses: ofAnswer.mul(advantages).neg(),
      ratio: ofAnswer,
      clipped: clippedTokens(logRatio.exp(), advantages, bounds),
    }
  },
})
