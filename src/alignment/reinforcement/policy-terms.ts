// The terms of the policy's loss from the log-probabilities of the sampled tokens. Independent of models, and of how the
// log-probabilities were computed.
import { ConfigError } from '../../core/index.ts'
import type { LossTerm, Metric } from '../../objectives/index.ts'
import { noGrad, type Tensor } from '../../tensor/index.ts'
import type { TokenLogProbs } from '../log-probs.ts'
import { lossKl, needsRatio } from './kl-divergence.ts'
import type { PolicyBatch } from './policy-batch.ts'
import { type TokenLosses, tokenLosses } from './policy-losses/index.ts'
import type { PolicyConfig } from './policy-settings.ts'

/** Names of the terms of the loss. */
export const policyTerms = {
  policy: 'policy',
  kl: 'policy-kl',
  entropy: 'policy-entropy',
  value: 'value',
} as const

/**
 * Terms of the policy's loss, and means over the trained tokens of the batch. The order is ratio, clip, masks, importance
 * weights, KL, aggregation.
 * @throws ConfigError for a batch without log-probabilities of the reference where the loss needs them
 */
export const policyLoss = (
  measured: Pick<TokenLogProbs, 'logProbs' | 'entropy'>,
  batch: PolicyBatch,
  config: PolicyConfig,
  klCoefficient: number,
): { terms: LossTerm[]; metrics: Record<string, Metric> } => {
  const { loss, kl, offPolicyThreshold } = config
  const { logProbs } = measured
  const { advantages, answers, factors, weight, referenceLogProbs } = batch
  const oldLogProbs = batch.oldLogProbs ?? logProbs.detach()
  const found = tokenLosses({ logProbs, oldLogProbs, advantages, answers }, loss)
  let { losses } = found
  if (offPolicyThreshold !== undefined) losses = losses.mul(onPolicyMask(logProbs, batch, offPolicyThreshold))
  if (batch.learned !== undefined) losses = losses.mul(batch.learned)
  const importance = importanceWeights(oldLogProbs, batch, config)
  if (importance !== undefined) losses = losses.mul(importance)
  const aggregated = (values: Tensor) => values.mul(factors).sum()
  const terms: LossTerm[] = [{ name: policyTerms.policy, sum: aggregated(losses), weight, scale: 1 }]
  if (kl !== undefined) {
    if (referenceLogProbs === undefined)
      throw new ConfigError('`kl` needs log-probabilities under the reference model: compute them before training.')
    const divergence = lossKl[kl.estimator](logProbs, referenceLogProbs)
    const corrected = kl.ratioCorrected ?? needsRatio[kl.estimator]
    const sum = aggregated(corrected ? divergence.mul(found.ratio) : divergence)
    terms.push({ name: policyTerms.kl, sum, weight, scale: klCoefficient })
  }
  return { terms, metrics: noGrad(() => policyMetrics(measured, found, batch, { oldLogProbs, importance })) }
}

/**
 * Weights for answers whose sampling probabilities differ from those of training, `p_training / p_sampling` limited by the
 * cap: float32 [N], without a gradient. Undefined where the batch has no sampling probabilities.
 */
const importanceWeights = (
  oldLogProbs: Tensor,
  { samplingLogProbs, answers }: PolicyBatch,
  { importance }: PolicyConfig,
): Tensor | undefined => {
  if (importance === undefined || samplingLogProbs === undefined) return undefined
  const { level, beyond, cap } = importance
  return noGrad(() => {
    const differences = oldLogProbs.sub(samplingLogProbs)
    const weights = (level === 'token' ? differences : answers.sum(differences)).clamp({ max: 20 }).exp()
    return beyond === 'truncate' ? weights.clamp({ max: cap }) : weights.maskedFill(weights.gt(cap), 0)
  })
}

/**
 * 0 for tokens of answers with a negative advantage that the model has moved away from, 1 for others: float32 [N].
 * @source DeepSeek-V3.2, arXiv:2512.02556
 */
const onPolicyMask = (logProbs: Tensor, batch: PolicyBatch, threshold: number): Tensor =>
  noGrad(() => {
    const { samplingLogProbs = batch.oldLogProbs ?? logProbs, advantages, answers } = batch
    const moved = answers.mean(samplingLogProbs.sub(logProbs))
    return moved.le(threshold).logicalOr(advantages.ge(0)).to('float32')
  })

/** How far log-probabilities of sampling and of training are apart, from the distances of all tokens of a batch. */
const mismatchOf = (distances: Tensor, weight: number): Record<string, Metric> => ({
  samplingMismatch: { sum: distances.sum(), weight },
  ...(distances.size === 0 ? {} : { largestSamplingMismatch: { sum: distances.max(), weight: 1, largest: true } }),
})

/** Means over the trained tokens of the global batch. */
const policyMetrics = (
  { logProbs, entropy }: Pick<TokenLogProbs, 'logProbs' | 'entropy'>,
  { ratio, clipped }: TokenLosses,
  { counts, referenceLogProbs, samplingLogProbs }: PolicyBatch,
  { oldLogProbs, importance }: { oldLogProbs: Tensor; importance: Tensor | undefined },
): Record<string, Metric> => {
  const weight = counts.reduce((sum, count) => sum + count, 0)
  const mean = (values: Tensor): Metric => ({ sum: values.to('float32').sum(), weight })
  const moved = logProbs.sub(oldLogProbs)
  return {
    entropy: mean(entropy),
    approxKl: mean(moved.square().mul(0.5)),
    ratio: mean(ratio),
    ratioDeviation: mean(ratio.sub(1).square()),
    ...(clipped === undefined ? {} : { clipFractionLow: mean(clipped.low), clipFractionHigh: mean(clipped.high) }),
    ...(referenceLogProbs === undefined ? {} : { referenceKl: mean(logProbs.sub(referenceLogProbs)) }),
    ...(samplingLogProbs === undefined ? {} : mismatchOf(oldLogProbs.sub(samplingLogProbs).abs(), weight)),
    ...(importance === undefined ? {} : { importanceWeight: mean(importance) }),
  }
}
