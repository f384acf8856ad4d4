// CISPO: the ratio is a weight without a gradient, limited from above; every token keeps the gradient of its
// log-probability.
// @source arXiv:2506.13585; a limit of 5, arXiv:2510.13786
import { z } from 'zod'
import { noGrad } from '../../../tensor/index.ts'
import { aggregationField } from './aggregation.ts'
import { logRatioOf } from './clipped.ts'
import { definePolicyLoss } from './policy-loss.ts'

const schema = z.strictObject({
  maxRatio: z.number().positive().default(5).describe('ratios above this weigh no more'),
  aggregation: aggregationField('token-mean'),
})

export const cispo = definePolicyLoss({
  type: 'cispo',
  source: 'arXiv:2506.13585',
  config: schema,
  losses(tokens, { maxRatio }) {
    const { logProbs, advantages } = tokens
    const ratio = logRatioOf(tokens).exp()
    const losses = ratio.detach().clamp({ max: maxRatio }).mul(advantages).mul(logProbs).neg()
    const high = noGrad(() => ratio.gt(maxRatio).logicalAnd(advantages.gt(0)))
    return { losses, ratio, clipped: { low: noGrad(() => high.logicalAnd(high.logicalNot())), high } }
  },
})
