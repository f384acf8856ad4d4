// Equalities that must hold before the first step of a preference run, where the policy starts as its reference: log-probabilities,
// loss, margin and divergence. They find adapters that are not off, dropout that is on, a wrong mask and a wrong base before they cost
// a run.
import { CheckpointError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import type { Criterion, PrepareContext } from '../objectives/index.ts'
import { noGrad, scope } from '../tensor/index.ts'
import type { PreferenceDefinition } from './preference/objective.ts'
import { checkRollouts, type RolloutExample } from './reinforcement/rollout-example.ts'
import { type ScoreCompletionsOptions, scoreCompletions } from './score-completions.ts'

/** An equality and what was found. */
export interface StartEquality {
  /** `loss`, `margin`, `klPerToken`, `padding` … */
  name: string
  expected: number
  found: number
  /** Largest difference that rounding explains. */
  tolerance: number
  holds: boolean
}

/** How the equalities are computed. */
export interface StartOptions extends Pick<PrepareContext, 'microTokens' | 'padded' | 'device'> {
  /** Whether policy and reference have the same weights in the same precision; without it only padding is checked. */
  startsAtReference: boolean
}

interface Measured {
  loss: number
  metrics: Record<string, number>
}

/** Loss of the preference term and metrics over the examples, without gradients. */
const measure = async <Example>(
  criterion: Criterion<Example>,
  model: Model,
  examples: readonly Example[],
  { microTokens, padded, device }: StartOptions,
): Promise<Measured> => {
  const context = { model, microTokens, padded, device, step: 0, position: 0, seed: 0, evaluation: true }
  const prepared = (await criterion.prepare?.(examples, context)) ?? examples
  const sums = new Map<string, { sum: number; weight: number }>()
  const add = (name: string, sum: number, weight: number) => {
    const before = sums.get(name) ?? { sum: 0, weight: 0 }
    sums.set(name, { sum: before.sum + sum, weight: before.weight + weight })
  }
  for (const example of prepared)
    noGrad(() =>
      scope(() => {
        const { terms, metrics } = criterion.loss(model, criterion.collate([example], { padded, device }))
        add('loss', terms[0].sum.item(), terms[0].weight)
        for (const [name, { sum, weight }] of Object.entries(metrics))
          add(name, typeof sum === 'number' ? sum : sum.item(), weight)
      }),
    )
  const means = [...sums].map(([name, { sum, weight }]): [string, number] => [name, sum / weight])
  const { loss, ...metrics } = Object.fromEntries(means)
  return { loss, metrics }
}

/** Metrics that are 0 where the policy is the reference. */
const zeros = ['rewardChosen', 'rewardRejected', 'rewardMargin', 'klPerToken', 'klBaseline', 'displaced']

/**
 * Computes the equalities of an objective on some examples of the data. The model stays in its mode, and nothing that is carried changes.
 * @param settings those of the objective, checked
 * @param examples a few pairs or rated completions; KTO needs two prompts
 */
export const startEqualities = async <Example extends object>(
  definition: PreferenceDefinition,
  settings: Readonly<Record<string, unknown>>,
  criterion: Criterion<Example>,
  model: Model,
  examples: readonly Example[],
  options: StartOptions,
): Promise<StartEquality[]> => {
  const { training } = model
  model.eval()
  try {
    const first = await measure(criterion, model, examples, options)
    const other = await measure(criterion, model, examples, { ...options, padded: !options.padded })
    const scale = Math.max(1, Math.abs(first.loss))
    const equality = (name: string, expected: number, found: number, tolerance: number): StartEquality => ({
      name,
      expected,
      found,
      tolerance,
      holds: Math.abs(found - expected) <= tolerance,
    })
    const equalities = [equality('padding', first.loss, other.loss, 1e-4 * scale)]
    if (!options.startsAtReference || !definition.reference) return equalities
    const good = examples.filter((example) => 'good' in example && example.good === true).length
    const weighted = settings.weighting === true
    const expected = weighted ? undefined : definition.lossAtReference?.(settings, good / examples.length)
    if (expected !== undefined) equalities.push(equality('loss', expected, first.loss, 1e-4 * scale))
    for (const name of zeros)
      if (first.metrics[name] !== undefined) equalities.push(equality(name, 0, first.metrics[name], 1e-4))
    return equalities
  } finally {
    if (training) model.train()
  }
}

/** Asserts equalities. @throws CheckpointError for the first that does not hold */
export const assertEqualities = (equalities: readonly StartEquality[]): void => {
  for (const { name, expected, found, tolerance, holds } of equalities)
    if (!holds)
      throw new CheckpointError(
        `Expected ${expected.toPrecision(6)} for \`${name}\` before the first step, within ${tolerance.toPrecision(2)}, got ${found.toPrecision(6)}. The policy does not start as its reference model: check the base, its adapters and dropout.`,
      )
}

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
