// SAPO: a smooth gate in place of clipping, `−A · σ(τ(ρ − 1)) · 4/τ`, whose slope at ρ = 1 is that of the plain ratio.
// @source arXiv:2511.20347
import { z } from 'zod'
import { noGrad, onesLike } from '../../../tensor/index.ts'
import { aggregationField } from './aggregation.ts'
import { logRatioOf } from './clipped.ts'
import { definePolicyLoss } from './policy-loss.ts'

const schema = z.strictObject({
  temperaturePositive: z.number().positive().default(1).describe('sharpness of the gate at positive advantages, τ'),
  temperatureNegative: z.number().positive().default(1.05).describe('sharpness of the gate at other advantages, τ'),
  aggregation: aggregationField('answer-mean'),
})

export const sapo = definePolicyLoss({
  type: 'sapo',
  source: 'arXiv:2511.20347',
  config: schema,
  losses(tokens, { temperaturePositive, temperatureNegative }) {
    const { advantages } = tokens
    const ratio = logRatioOf(tokens).exp()
    const sharpness = noGrad(() =>
      onesLike(advantages).mul(temperaturePositive).where(advantages.gt(0), temperatureNegative),
    )
    const gate = ratio.sub(1).mul(sharpness).sigmoid().mul(4).div(sharpness)
    return { losses: gate.mul(advantages).neg(), ratio }
  },
})
