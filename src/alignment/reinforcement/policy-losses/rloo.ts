// RLOO: the clipped surrogate of whole answers; its ratio is that of the answer's probability, the product of those of
// the tokens. Without an update in between, its gradient is that of REINFORCE.
// @source arXiv:2402.14740
import { z } from 'zod'
import { aggregationField } from './aggregation.ts'
import { clipFields, clippedLosses, dualClipField } from './clipped.ts'
import { definePolicyLoss } from './policy-loss.ts'

const schema = z.strictObject({
  ...clipFields(0.2, 0.2),
  ...dualClipField,
  aggregation: aggregationField('answer-mean'),
})

export const rlooLoss = definePolicyLoss({
  type: 'rloo',
  source: 'arXiv:2402.14740',
  config: schema,
  losses(tokens, config) {
    const { logProbs, oldLogProbs, answers } = tokens
    const logRatio = answers.sum(logProbs.sub(oldLogProbs)).clamp({ min: -20, max: 20 })
    return clippedLosses(logRatio.exp(), tokens, config)
  },
})
