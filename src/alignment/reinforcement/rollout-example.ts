// An answer that the model sampled, ready to be trained on.
import { DataError } from '../../core/index.ts'
import { type CompletionTokens, completionLength } from '../log-probs.ts'

/**
 * An answer with its advantages. Every array has one entry per completion token with a log-probability
 * (`completionLength`), in the order of the tokens.
 */
export interface RolloutExample extends CompletionTokens {
  /** 1 for tokens that the model chose; 0 for those of tools and environments, and everywhere in a masked answer. */
  mask: Uint8Array
  advantages: Float32Array
  /**
   * Under the model before the first update on these answers, computed as in training. Left out, they are those of the
   * update itself, without a gradient, so that every ratio is 1: for one update on each batch of answers.
   */
  oldLogProbs?: Float32Array
  /** As recorded while sampling: where they may differ from those of training, as in bfloat16, or without `oldLogProbs`. */
  samplingLogProbs?: Float32Array
  /** Under the reference model. */
  referenceLogProbs?: Float32Array
  /** Entropy in nats of the distribution that each token was sampled from. */
  entropies?: Float32Array
  /** Targets of the critic; one more for the whole text where the score is added after the end. */
  returns?: Float32Array
  /** Values of the critic before the first update, as many as `returns`. */
  oldValues?: Float32Array
  /** Set by the criterion: tokens that the policy learns from, of those in `mask`. */
  learned?: Uint8Array
  /** Set by the criterion while only the critic is trained. */
  policyFrozen?: boolean
}

const perToken = [
  'mask',
  'advantages',
  'oldLogProbs',
  'samplingLogProbs',
  'referenceLogProbs',
  'entropies',
  'learned',
] as const

/** Number of tokens that are trained. */
export const trainedTokens = ({ mask }: Pick<RolloutExample, 'mask'>): number => {
  let count = 0
  for (let t = 0; t < mask.length; t++) if (mask[t] !== 0) count++
  return count
}

/** Number of values that the critic learns: at trained tokens, and after the end where there is such a target. */
export const trainedValues = (example: Pick<RolloutExample, 'mask' | 'returns'>): number => {
  const { returns, mask } = example
  const count = trainedTokens(example)
  return returns === undefined || count === 0 ? 0 : count + (returns.length - mask.length)
}

const optional = ['oldLogProbs', 'samplingLogProbs', 'referenceLogProbs', 'returns', 'oldValues'] as const

/**
 * Checks the answers of a global batch.
 * @throws DataError for arrays of wrong lengths, that only some answers have, or whose values are not finite: these must not
 * reach a gradient
 */
export const checkRollouts = (examples: readonly RolloutExample[]): void => {
  for (const name of optional) {
    const having = examples.filter((example) => example[name] !== undefined).length
    if (having !== 0 && having !== examples.length)
      throw new DataError(
        `Expected \`${name}\` in all answers of a batch or in none, got ${having} of ${examples.length} answers with it.`,
      )
  }
  for (const example of examples) checkRollout(example)
}

const checkRollout = (example: RolloutExample): void => {
  const count = completionLength(example)
  for (const name of perToken) {
    const values = example[name]
    if (values === undefined) continue
    if (values.length !== count)
      throw new DataError(
        `Expected ${count} values in \`${name}\` of an answer, one per completion token, got ${values.length}.`,
      )
    for (let t = 0; t < count; t++)
      if (example.mask[t] !== 0 && !Number.isFinite(values[t]))
        throw new DataError(
          `Expected finite values in \`${name}\` of an answer, got ${values[t]} at its token ${t}. Check the rewards and the model.`,
        )
  }
  const { returns, oldValues } = example
  if (returns === undefined) return
  if (returns.length < count || returns.length > count + 1 || oldValues?.length !== returns.length)
    throw new DataError(
      `Expected ${count} or ${count + 1} \`returns\` of an answer and as many \`oldValues\`, got ${returns.length} and ${oldValues?.length ?? 0}.`,
    )
  if (!returns.every(Number.isFinite) || !oldValues.every(Number.isFinite))
    throw new DataError('Expected finite `returns` and `oldValues` of an answer, got others. Check the critic.')
}
