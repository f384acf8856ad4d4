// Rollouts in a batch: the trained tokens of the answers with all that is known of them before the forward pass.
import { toInt64 } from '../../objectives/index.ts'
import { Tensor, wideTensor } from '../../tensor/index.ts'
import { type CollateCompletionsOptions, type CompletionBatch, collateCompletions } from '../log-probs.ts'
import { valuePlaces } from './critic.ts'
import { AnswerTokens, aggregate } from './policy-losses/index.ts'
import type { PolicyConfig } from './policy-settings.ts'
import { type RolloutExample, trainedTokens, trainedValues } from './rollout-example.ts'

/** Targets of the critic; M is the number of its values in the batch. */
interface ValueTargets {
  /** int64 [M]: positions of the batch. */
  places: Tensor
  /** float32 [M] */
  returns: Tensor
  /** float32 [M] */
  oldValues: Tensor
  count: number
}

/** Rollouts in a batch. Its tokens are the trained ones; N is their number, and each tensor is float32 [N]. */
export interface PolicyBatch extends CompletionBatch {
  answers: AnswerTokens
  advantages: Tensor
  oldLogProbs?: Tensor
  samplingLogProbs?: Tensor
  referenceLogProbs?: Tensor
  /** Factors of the aggregation. */
  factors: Tensor
  /** 0 at tokens that the policy does not learn from. */
  learned?: Tensor
  /** Weight of the terms of the policy; 0 while only the critic is trained. */
  weight: number
  values?: ValueTargets
}

/** Weight of each term of the loss of an example, which is the sum of those of the batch. */
export const policyWeight = (example: RolloutExample, { loss, maxTokens = 1 }: PolicyConfig): number =>
  example.policyFrozen ? 0 : aggregate(loss.aggregation, trainedTokens(example), maxTokens).weight

type Column = 'oldLogProbs' | 'samplingLogProbs' | 'referenceLogProbs' | 'learned'

/** Puts rollouts into a batch. @throws DataError without examples */
export const collateRollouts = (
  examples: readonly RolloutExample[],
  config: PolicyConfig,
  how: CollateCompletionsOptions,
): PolicyBatch => {
  const all = collateCompletions(examples, how)
  const counts = examples.map(trainedTokens)
  const total = counts.reduce((sum, count) => sum + count, 0)
  const kept = new Int32Array(total)
  let [at, first] = [0, 0]
  for (const [i, { mask }] of examples.entries()) {
    for (let t = 0; t < mask.length; t++) if (mask[t] !== 0) kept[at++] = first + t
    first += all.counts[i]
  }
  const { device } = how
  const index = toInt64(kept, [total], device)
  const sequences = all.sequences.indexSelect(0, index)
  const float = (values: Float32Array) => Tensor.from(values, { shape: [values.length], device })
  const gathered = (valuesOf: (example: RolloutExample, i: number) => ArrayLike<number>): Tensor => {
    const values = new Float32Array(total)
    let next = 0
    for (const [i, example] of examples.entries()) {
      const own = valuesOf(example, i)
      for (let t = 0; t < example.mask.length; t++) if (example.mask[t] !== 0) values[next++] = own[t]
    }
    return float(values)
  }
  const column = (name: Column) => {
    const given = examples.every((example) => example[name] !== undefined)
    return given ? gathered((example) => example[name] ?? example.advantages) : undefined
  }
  const factors = counts.map((count) => aggregate(config.loss.aggregation, count, config.maxTokens ?? 1).factor)
  const every = (i: number, value: number) => new Float32Array(examples[i].mask.length).fill(value)
  return {
    ...all,
    places: all.places.indexSelect(0, index),
    targets: all.targets.indexSelect(0, index),
    sequences,
    counts,
    answers: new AnswerTokens(sequences, wideTensor(Float64Array.from(counts), { device })),
    advantages: gathered(({ advantages }) => advantages),
    oldLogProbs: column('oldLogProbs'),
    samplingLogProbs: column('samplingLogProbs'),
    referenceLogProbs: column('referenceLogProbs'),
    factors: gathered((_, i) => every(i, factors[i])),
    learned: column('learned'),
    weight: examples.reduce((sum, example) => sum + policyWeight(example, config), 0),
    values: valueTargets(examples, all, float),
  }
}

const valueTargets = (
  examples: readonly RolloutExample[],
  batch: CompletionBatch,
  float: (values: Float32Array) => Tensor,
): ValueTargets | undefined => {
  const count = examples.reduce((sum, example) => sum + trainedValues(example), 0)
  if (count === 0) return undefined
  const wanted = (i: number, t: number): boolean => {
    const { mask, returns } = examples[i]
    if (returns === undefined) return false
    return t < mask.length ? mask[t] !== 0 : returns.length > mask.length && mask.includes(1)
  }
  const read = (name: 'returns' | 'oldValues') =>
    float(
      Float32Array.from(examples.flatMap((example, i) => [...(example[name] ?? [])].filter((_, t) => wanted(i, t)))),
    )
  return { places: valuePlaces(batch, wanted), returns: read('returns'), oldValues: read('oldValues'), count }
}
