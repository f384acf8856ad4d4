// The coefficient of the KL penalty: constant, or adapted so that the KL divergence from the reference stays near a target.
// Its state is JSON, for checkpoints.
import { z } from 'zod'
import { CheckpointError } from '../../core/index.ts'
import type { CarriedState } from '../../objectives/index.ts'

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

  /** The coefficient now. */
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
