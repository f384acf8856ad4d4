// Dr. GRPO: as GRPO, summed over tokens and divided by the maximum length, so that long answers are not favoured.
// @source arXiv:2503.20783
import { z } from 'zod'
import { aggregationField } from './aggregation.ts'
import { clipFields, clippedLosses, dualClipField, logRatioOf } from './clipped.ts'
import { definePolicyLoss } from './policy-loss.ts'

const schema = z.strictObject({
  ...clipFields(0.2, 0.2),
  ...dualClipField,
  aggregation: aggregationField('fixed-length'),
})

export const drGrpo = definePolicyLoss({
  type: 'dr-grpo',
  source: 'arXiv:2503.20783',
  config: schema,
  losses: (tokens, config) => clippedLosses(logRatioOf(tokens).exp(), tokens, config),
})
