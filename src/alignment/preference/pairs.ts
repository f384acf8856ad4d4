// Examples of preference objectives: two completions of one prompt, or one completion that was rated; and what criteria on them share.
import { ConfigError, invariant } from '../../core/index.ts'
import { type Metric, type PrepareContext, type ShownTokens, trainedFrom } from '../../objectives/index.ts'
import type { CompletionExample, TaskExample } from '../../tasks/index.ts'
import { stack, type Tensor, widened } from '../../tensor/index.ts'
import { type CompletionTokens, firstScored } from '../log-probs.ts'
import type { FollowingWeights, Reference } from '../reference.ts'
import type { PairOptions } from './objective.ts'

/** Two completions of one prompt, of which the first is better; both are always in one micro-batch. */
export interface PreferencePair extends TaskExample {
  chosen: CompletionTokens
  rejected: CompletionTokens
  /** What `prepare` adds. */
  prepared?: PreparedPair
}

interface PreparedPair {
  /** Log-probabilities of the completion tokens under the reference; empty for objectives without one. */
  chosen: Float32Array
  rejected: Float32Array
  /** Numbers that depend on the whole global batch, as the objective declares them. */
  constants: readonly number[]
}

/** Makes a pair of two encoded completions. */
export const pairOf = (chosen: CompletionExample, rejected: CompletionExample): PreferencePair => {
  const size = chosen.ids.length
  const ids = new Uint32Array(size + rejected.ids.length)
  ids.set(chosen.ids)
  ids.set(rejected.ids, size)
  const part = ({ promptTokens }: CompletionExample, from: number, to?: number): CompletionTokens => ({
    ids: ids.subarray(from, to),
    starts: [0],
    promptTokens,
  })
  return {
    ids,
    starts: [0, size],
    truncatedTokens: chosen.truncatedTokens + rejected.truncatedTokens,
    chosen: part(chosen, 0, size),
    rejected: part(rejected, size),
  }
}

/** A completion that was found good or bad. */
export interface RatedCompletion extends CompletionExample {
  good: boolean
  /** What `prepare` adds. */
  prepared?: PreparedRating
}

interface PreparedRating {
  /** Log-probabilities of the completion tokens under the reference. */
  reference: Float32Array
  /** Estimated KL divergence of the policy from the reference over the global batch, in nats per completion, not negative. */
  baseline: number
}

export const preparedOf = <Prepared>({ prepared }: { prepared?: Prepared }): Prepared => {
  invariant(prepared !== undefined, 'a preference loss is computed before `prepare`.')
  return prepared
}

/** A completion as text with its trained tokens marked. */
export const describeCompletion = (
  { ids, promptTokens }: CompletionTokens,
  decode: (ids: readonly number[]) => string,
): string => `${decode([...ids.subarray(0, promptTokens)])}⟦${decode([...ids.subarray(promptTokens)])}⟧`

/** A completion as its tokens: those with a log-probability are trained. */
export const showCompletion = (
  completion: CompletionTokens,
  options: { name?: string; firstLoss?: number } = {},
): ShownTokens => trainedFrom(completion.ids, firstScored(completion), options)

/** Collects metrics of a batch by name: each a sum, and the weight that it is divided by over the global batch. */
export class MetricSums {
  readonly #weight: number
  readonly #names: string[] = []
  readonly #weights: number[] = []
  readonly #sums: Tensor[] = []

  /** @param weight of metrics that are added without one */
  constructor(weight: number) {
    this.#weight = weight
  }

  /** Adds the sum of `values`, of any shape and dtype. */
  add(name: string, values: Tensor, weight = this.#weight): void {
    this.#names.push(name)
    this.#weights.push(weight)
    this.#sums.push(widened(values.detach()).sum())
  }

  read(): Record<string, Metric> {
    if (this.#sums.length === 0) return {}
    const values = stack(this.#sums).toTypedArray()
    return Object.fromEntries(
      this.#names.map((name, i) => [name, { sum: Number(values[i]), weight: this.#weights[i] }]),
    )
  }
}

// @source arXiv:2404.09656
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
