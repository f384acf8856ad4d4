// DAPO: as GRPO, with more room for ratios above 1, averaged over all tokens of the global batch.
// @source arXiv:2503.14476
import { z } from 'zod'
import { aggregationField } from './aggregation.ts'
import { clipFields, clippedLosses, dualClipField, logRatioOf } from './clipped.ts'
import { definePolicyLoss } from './policy-loss.ts'

const schema = z.strictObject({
  ...clipFields(0.2, 0.28),
  ...dualClipField,
  aggregation: aggregationField('token-mean'),
})

export const dapo = definePolicyLoss({
  type: 'dapo',
  source: 'arXiv:2503.14476',
  config: schema,
  losses: (tokens, config) => clippedLosses(logRatioOf(tokens).exp(), tokens, config),
})
