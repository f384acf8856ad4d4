// The loss of classification: cross entropy with smoothing or focus, and the divergence of two passes (R-Drop).
import { z } from 'zod'
import { ConfigError, didYouMean } from '../../core/index.ts'
import { Tensor } from '../../tensor/index.ts'

export const classWeightsField = z
  .union([z.enum(['none', 'balanced']), z.record(z.string(), z.number().positive())])
  .default('none')
  .describe('class weights of the loss: none, balanced (inverse frequency) or label=weight')
type ClassWeights = z.output<typeof classWeightsField>

/** scikit-learn's balanced weights, total / (classes * count); 1 for a class without records. */
export const balanceClasses = (counts: Float64Array): Float32Array => {
  const total = counts.reduce((sum, count) => sum + count, 0)
  return Float32Array.from(counts, (count) => (count === 0 ? 1 : total / (counts.length * count)))
}

/** Weights of the positives of each label that balance them with its negatives; 1 for a label with only one of both. */
export const balanceLabels = (counts: Float64Array, records: number): Float32Array =>
  Float32Array.from(counts, (count) => (count === 0 || count === records ? 1 : (records - count) / count))

/** A weight for each label, or undefined without weights; `balance` is undefined outside training. */
export const weightsOf = (
  weights: ClassWeights,
  labels: readonly string[],
  balance: (() => Float32Array) | undefined,
): Float32Array | undefined => {
  if (weights === 'none') return undefined
  if (weights === 'balanced') return balance?.()
  const unknown = Object.keys(weights).find((label) => !labels.includes(label))
  if (unknown !== undefined)
    throw new ConfigError(
      `Expected labels of the task for \`classWeights\` (${labels.join(', ')}), got "${unknown}".${didYouMean(unknown, labels)}`,
    )
  return Float32Array.from(labels, (label) => weights[label] ?? 1)
}

export const classLossFields = {
  labelSmoothing: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe('label smoothing: probability mass spread over all classes'),
  focalGamma: z
    .number()
    .min(0)
    .max(10)
    .default(0)
    .describe('focal loss: multiply each loss by (1 - p)^gamma, so that easy examples count less; 2 is usual'),
  rDrop: z
    .number()
    .min(0)
    .default(0)
    .describe('R-Drop: weight of the divergence between two passes with different dropout (twice the compute)'),
}

interface ClassLoss {
  multiLabel: boolean
  labelSmoothing: number
  focalGamma: number
  /** A weight for each class, or for the positives of each label. */
  weights: Float32Array | undefined
}

/** The loss summed over the examples. Logits float32 [B,L]; targets int64 [B], or float32 [B,L] with NaN for unknown. */
export const classLoss = (logits: Tensor, targets: Tensor, how: ClassLoss): Tensor => {
  const { multiLabel, labelSmoothing, focalGamma, weights } = how
  const weight = weights && Tensor.from(weights, { shape: [weights.length], device: logits.device })
  if (multiLabel) {
    const unknown = targets.isnan()
    const wanted = targets.maskedFill(unknown, 0)
    const each = logits.binaryCrossEntropyWithLogits(wanted, { posWeight: weight, reduction: 'none' })
    // The probability of the right answer, yes or no.
    const right = logits.mul(wanted.mul(2).sub(1)).sigmoid()
    return focused(each, right, focalGamma).maskedFill(unknown, 0).sum()
  }
  if (focalGamma === 0)
    return logits.crossEntropy(targets, { weight, reduction: 'sum', labelSmoothing, ignoreIndex: -100 })
  const each = logits.crossEntropy(targets, { weight, reduction: 'none', ignoreIndex: -100 })
  const right = logits
    .softmax(-1)
    .gather(1, targets.clamp({ min: 0 }).unsqueeze(1))
    .squeeze(1)
  return focused(each, right, focalGamma).sum()
}

/** @source arXiv:1708.02002 */
const focused = (losses: Tensor, right: Tensor, gamma: number): Tensor =>
  gamma === 0 ? losses : losses.mul(right.neg().add(1).clamp({ min: 0 }).pow(gamma))

/**
 * The mean of both Kullback-Leibler divergences between the predictions of two passes, summed over the rows.
 * @param known float32 [B] or [B,L]: 1 where the target is known, 0 elsewhere
 * @source arXiv:2106.14448
 */
export const divergence = (first: Tensor, second: Tensor, multiLabel: boolean, known: Tensor): Tensor => {
  if (multiLabel) {
    // Of two Bernoulli distributions: both divergences add up to (p - q)(logit p - logit q).
    const gap = first.sigmoid().sub(second.sigmoid())
    return gap.mul(first.sub(second)).mul(known).sum().mul(0.5)
  }
  const gap = first.softmax(-1).sub(second.softmax(-1))
  return gap
    .mul(first.logSoftmax(-1).sub(second.logSoftmax(-1)))
    .sum(-1)
    .mul(known)
    .sum()
    .mul(0.5)
}
