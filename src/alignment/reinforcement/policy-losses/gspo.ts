// GSPO: the ratio of a whole answer, as the geometric mean of the ratios of its tokens, is clipped.
// @source arXiv:2507.18071
import { z } from 'zod'
import { aggregationField } from './aggregation.ts'
import { clipFields, clippedLosses, dualClipField, logRatioOf } from './clipped.ts'
import { definePolicyLoss } from './policy-loss.ts'

const schema = z.strictObject({
  ...clipFields(3e-4, 4e-4),
  ...dualClipField,
  aggregation: aggregationField('answer-mean'),
})

export const gspo = definePolicyLoss({
  type: 'gspo',
  source: 'arXiv:2507.18071',
  config: schema,
  losses: (tokens, config) => clippedLosses(tokens.answers.mean(logRatioOf(tokens)).exp(), tokens, config),
})
