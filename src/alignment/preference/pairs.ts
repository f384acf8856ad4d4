// Examples of preference objectives: two completions of one prompt, or one completion that was rated.
import { invariant } from '../../core/index.ts'
import { type ShownTokens, trainedFrom } from '../../objectives/index.ts'
import type { CompletionExample, TaskExample } from '../../tasks/index.ts'
import { type CompletionTokens, firstScored } from '../log-probs.ts'

/** Two completions of one prompt, of which the first is better; both are always in one micro-batch. */
export interface PreferencePair extends TaskExample {
  chosen: CompletionTokens
  rejected: CompletionTokens
  /** What `prepare` adds. */
  prepared?: PreparedPair
}

/** Values of a pair that are computed before its loss. */
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

/** Values of a rated completion that are computed before its loss. */
interface PreparedRating {
  /** Log-probabilities of the completion tokens under the reference. */
  reference: Float32Array
  /** Estimated KL divergence of the policy from the reference over the global batch, in nats per completion, not negative. */
  baseline: number
}

/** The prepared values of an example. */
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
