// GRPO: the clipped surrogate of each token, averaged over the tokens of each answer, then over answers.
// @source arXiv:2402.03300
import { z } from 'zod'
import { aggregationField } from './aggregation.ts'
import { clipFields, clippedLosses, dualClipField, logRatioOf } from './clipped.ts'
import { definePolicyLoss } from './policy-loss.ts'

const schema = z.strictObject({
  ...clipFields(0.2, 0.2),
  ...dualClipField,
  aggregation: aggregationField('answer-mean'),
})

export const grpo = definePolicyLoss({
  type: 'grpo',
  source: 'arXiv:2402.03300',
  config: schema,
  losses: (tokens, config) => clippedLosses(logRatioOf(tokens).exp(), tokens, config),
})
