// REINFORCE: `−A · log π` of each token, without a ratio: for one update on each batch of answers.
// @source Williams 1992
import { z } from 'zod'
import { aggregationField } from './aggregation.ts'
import { logRatioOf } from './clipped.ts'
import { definePolicyLoss } from './policy-loss.ts'

const schema = z.strictObject({ aggregation: aggregationField('answer-sum') })

export const reinforceLoss = definePolicyLoss({
  type: 'reinforce',
  source: 'Williams 1992',
  config: schema,
  losses: (tokens) => ({
    losses: tokens.logProbs.mul(tokens.advantages).neg(),
    ratio: logRatioOf(tokens).exp(),
  }),
})
