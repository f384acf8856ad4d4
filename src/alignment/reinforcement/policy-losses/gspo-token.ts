// GSPO-token: the ratio has the value of GSPO's and the gradient of each token, so that tokens of one answer may have
// different advantages.
// @source arXiv:2507.18071, section 4.3
import { z } from 'zod'
import { aggregationField } from './aggregation.ts'
import { clipFields, clippedLosses, dualClipField, logRatioOf } from './clipped.ts'
import { definePolicyLoss } from './policy-loss.ts'

const schema = z.strictObject({
  ...clipFields(3e-4, 4e-4),
  ...dualClipField,
  aggregation: aggregationField('answer-mean'),
})

export const gspoToken = definePolicyLoss({
  type: 'gspo-token',
  source: 'arXiv:2507.18071',
  config: schema,
  losses(tokens, config) {
    const { logProbs, answers } = tokens
    const ofAnswer = answers.mean(logRatioOf(tokens)).detach()
    return clippedLosses(ofAnswer.add(logProbs.sub(logProbs.detach())).exp(), tokens, config)
  },
})
