// Estimators of the KL divergence from the reference at one sampled token: as numbers for rewards, and as tensors for
// the loss. With d = log π_ref − log π, k1 is −d, k2 is d²/2 and k3 is e^d − d − 1.
// @source Schulman 2020, "Approximating KL divergence"; for gradients arXiv:2506.09477

import { z } from 'zod'
import { CheckpointError } from '../../core/index.ts'
import type { CarriedState } from '../../objectives/index.ts'
import type { Tensor } from '../../tensor/index.ts'

/** Estimators for rewards. k2 is biased and has no use there. */
export const rewardKlEstimators = ['k1', 'k3'] as const
export type RewardKlEstimator = (typeof rewardKlEstimators)[number]

/** Largest absolute value of k3 at a token: one improbable token must not decide the reward of an answer. */
const mostK3 = 10

const k3 = (d: number): number => Math.min(mostK3, Math.exp(Math.min(20, d)) - d - 1)

/** KL divergence at a sampled token by its log-probabilities under the policy and the reference; k3 is clamped to 10. */
export const rewardKl: Record<RewardKlEstimator, (logProb: number, reference: number) => number> = {
  k1: (logProb, reference) => logProb - reference,
  k3: (logProb, reference) => k3(reference - logProb),
}

export const lossKlEstimators = ['k1', 'k2', 'k3', 'k3-k2'] as const
export type LossKlEstimator = (typeof lossKlEstimators)[number]

/**
 * KL divergence at each token as part of the loss, with a gradient: float32 [N] from log-probabilities [N] of the policy
 * (with a gradient) and of the reference. As a loss, k1 has a gradient of 0 in expectation, and that of k3 is biased; k2
 * has the right one. `k3-k2` has the value of k3 and the gradient of k2.
 */
export const lossKl: Record<LossKlEstimator, (logProbs: Tensor, reference: Tensor) => Tensor> = {
  k1: (logProbs, reference) => logProbs.sub(reference),
  k2: (logProbs, reference) => logProbs.sub(reference).square().mul(0.5),
  k3: (logProbs, reference) => tensorK3(logProbs, reference),
  'k3-k2': (logProbs, reference) => {
    const gradient = logProbs.sub(reference).square().mul(0.5)
    return gradient.add(tensorK3(logProbs, reference).sub(gradient).detach())
  },
}

/** Whether the gradient of an estimator is that of the divergence only if it is multiplied by the probability ratio. */
export const needsRatio: Record<LossKlEstimator, boolean> = { k1: true, k2: false, k3: true, 'k3-k2': false }

/** Limited so that it stays finite; no policy that trains gets there. */
const tensorK3 = (logProbs: Tensor, reference: Tensor): Tensor => {
  const d = reference.sub(logProbs).clamp({ min: -40, max: 40 })
  return d.exp().sub(d).sub(1)
}

/** Settings of the adaptive coefficient. */
export const adaptiveKlSchema = z.strictObject({
  target: z.number().positive().default(6).describe('KL divergence per answer to aim for, in nats'),
  horizon: z.number().positive().default(10_000).describe('answers over which the coefficient adapts'),
})

/** Checked settings of the adaptive coefficient. */
export type AdaptiveKlConfig = z.output<typeof adaptiveKlSchema>

const stateSchema = z.strictObject({ coefficient: z.number().nonnegative() })

/**
 * The coefficient of the KL penalty, β. With `adaptive`, `update` multiplies it by
 * `1 + clip(KL / target − 1, −0.2, 0.2) · answers / horizon`.
 * @source Ziegler et al. 2019, arXiv:1909.08593
 */
export class KlController implements CarriedState {
  readonly #adaptive: AdaptiveKlConfig | undefined
  #coefficient: number

  constructor(coefficient: number, adaptive?: AdaptiveKlConfig) {
    this.#coefficient = coefficient
    this.#adaptive = adaptive
  }

  get coefficient(): number {
    return this.#coefficient
  }

  /**
   * Adapts the coefficient to what was measured; a constant one stays. A value that is not finite changes nothing.
   * @param kl mean over the answers of the KL divergence from the reference, summed over tokens, in nats
   * @param answers number of answers that it was measured on
   */
  update(kl: number, answers: number): void {
    if (this.#adaptive === undefined || !Number.isFinite(kl)) return
    const { target, horizon } = this.#adaptive
    const error = Math.min(0.2, Math.max(-0.2, kl / target - 1))
    this.#coefficient = Math.max(0, this.#coefficient * (1 + (error * answers) / horizon))
  }

  save(): unknown {
    return { coefficient: this.#coefficient }
  }

  /** @throws CheckpointError for what `save` cannot have given */
  load(state: unknown): void {
    const parsed = stateSchema.safeParse(state)
    if (!parsed.success)
      throw new CheckpointError(
        `Expected the coefficient of the KL penalty in the checkpoint, got ${JSON.stringify(state)}. The checkpoint is damaged, or of another objective.`,
      )
    this.#coefficient = parsed.data.coefficient
  }
}
