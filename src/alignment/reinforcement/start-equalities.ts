// Equalities that must hold for the first answers of a reinforcement learning run, before its first step: the probabilities
// of sampling are those of training, padding changes nothing, and the policy is its reference. They find a temperature or a
// dropout that only one side has, wrong masks and wrong bases before they cost a run.
import type { Model } from '../../models/index.ts'
import type { StartEquality } from '../preference/start-equalities.ts'
import { type ScoreCompletionsOptions, scoreCompletions } from '../score-completions.ts'
import { checkRollouts, type RolloutExample } from './rollout-example.ts'

/** How the equalities are computed. */
export interface RolloutEqualityOptions extends ScoreCompletionsOptions {
  /** Largest difference of a log-probability that rounding explains (default: 1e-4, for float32). */
  tolerance?: number
  /** Whether policy and reference have the same weights in the same precision. */
  startsAtReference?: boolean
}

/** Largest absolute difference of two log-probabilities over the trained tokens. */
const largestDifference = (
  examples: readonly RolloutExample[],
  a: (i: number) => ArrayLike<number>,
  b: (i: number) => ArrayLike<number>,
): number => {
  let most = 0
  for (const [i, { mask }] of examples.entries())
    for (let t = 0; t < mask.length; t++) if (mask[t] !== 0) most = Math.max(most, Math.abs(a(i)[t] - b(i)[t]))
  return most
}

/**
 * Largest log-ratio between training and sampling, largest effect of padding, and largest difference from the reference, each
 * over all trained tokens. What the examples do not have is not checked.
 * @param examples answers that the model has just sampled; `samplingLogProbs`, else `oldLogProbs`, are those of sampling
 * @throws DataError for arrays of wrong lengths
 */
export const rolloutEqualities = async (
  model: Model,
  examples: readonly RolloutExample[],
  { tolerance = 1e-4, startsAtReference = false, ...how }: RolloutEqualityOptions,
): Promise<StartEquality[]> => {
  checkRollouts(examples)
  const scores = await scoreCompletions(model, examples, how)
  const others = await scoreCompletions(model, examples, { ...how, padded: !how.padded })
  const own = (i: number) => scores[i].logProbs
  const equalities: StartEquality[] = []
  const add = (name: string, other: (i: number) => Float32Array | undefined) => {
    const all = [...examples.keys()].flatMap((i) => other(i) ?? [])
    if (all.length < examples.length) return
    const found = largestDifference(examples, own, (i) => all[i])
    equalities.push({ name, expected: 0, found, tolerance, holds: found <= tolerance })
  }
  add('padding', (i) => others[i].logProbs)
  add('logRatio', (i) => examples[i].samplingLogProbs ?? examples[i].oldLogProbs)
  if (startsAtReference) add('referenceKl', (i) => examples[i].referenceLogProbs)
  return equalities
}
