// PPO: the clipped surrogate of each token, averaged over all tokens of the global batch.
// @source arXiv:1707.06347; for language models, arXiv:1909.08593
import { z } from 'zod'
import { aggregationField } from './aggregation.ts'
import { clipFields, clippedLosses, dualClipField, logRatioOf } from './clipped.ts'
import { definePolicyLoss } from './policy-loss.ts'

const schema = z.strictObject({
  ...clipFields(0.2, 0.2),
  ...dualClipField,
  aggregation: aggregationField('token-mean'),
})

export const ppo = definePolicyLoss({
  type: 'ppo',
  source: 'arXiv:1707.06347',
  config: schema,
  losses: (tokens, config) => clippedLosses(logRatioOf(tokens).exp(), tokens, config),
})
