// Lets the reference follow the policy at intervals (TR-DPO). @source arXiv:2404.09656
import { ConfigError } from '../../core/index.ts'
import type { PrepareContext } from '../../objectives/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { FollowingWeights, Reference } from '../reference.ts'
import type { PairOptions } from './objective.ts'

/** Moves a reference every `steps` steps, once for each of these steps. */
export class ReferenceSync {
  readonly #follows: FollowingWeights | undefined
  readonly #settings: PairOptions['sync']
  /** The step before which the reference moved last; 0 where it has not moved. */
  syncedAt = 0

  /** @throws ConfigError for a reference that cannot move */
  constructor(reference: Reference | undefined, settings: PairOptions['sync']) {
    if (settings !== undefined && reference?.follows === undefined)
      throw new ConfigError(
        `\`referenceSyncSteps\` needs a reference with weights of its own that are not quantised, got ${reference?.summary ?? 'none'}. Use a frozen copy.`,
      )
    this.#follows = reference?.follows
    this.#settings = settings
  }

  /** Whether the reference moves at all. */
  get active(): boolean {
    return this.#settings !== undefined
  }

  /** Moves the reference where it is time to. A step that is prepared again moves it once. */
  update({ step, evaluation }: Pick<PrepareContext, 'step' | 'evaluation'>): void {
    if (this.#settings === undefined || evaluation || step === 0) return
    if (step % this.#settings.steps !== 0 || this.syncedAt === step) return
    this.#follows?.update(this.#settings.mix)
    this.syncedAt = step
  }

  /** The weights of the reference, for checkpoints. */
  tensors(): ReadonlyMap<string, Tensor> {
    return this.#follows?.tensors() ?? new Map()
  }
}
