// The oracle of reinforcement learning: for a tiny vocabulary all answers are enumerated, so that the policy gradient is
// known exactly, and the gradient that an algorithm gives is averaged over all batches of answers, each with its
// probability. It runs the estimators, the criterion and the model that training runs.
import { ConfigError, createRandom } from '../../core/index.ts'
import { buildModel, type Model, type ModelDefinition, models } from '../../models/index.ts'
import { clearGrads, Generator, scope, Tensor } from '../../tensor/index.ts'
import { type CompletionTokens, collateCompletions, completionLogProbs, sumByCompletion } from '../log-probs.ts'
import { scoreCompletions } from '../score-completions.ts'
import { type AdvantageInput, advantageSchema, estimateAdvantages, type ScoredAnswer } from './advantages/index.ts'
import { type AlgorithmDefinition, algorithmTypes, findAlgorithm, type GradientExpectation } from './algorithms.ts'
import { policyWeight } from './policy-batch.ts'
import { policyCriterion } from './policy-criterion.ts'
import type { PolicyLossInput } from './policy-losses/index.ts'
import { policySchema } from './policy-settings.ts'
import { policyTerms } from './policy-terms.ts'
import { klRewards } from './reward-shaping.ts'
import type { RolloutExample } from './rollout-example.ts'

/** What the oracle computes. */
export interface OracleOptions {
  /**
   * Policy with a causal language modelling head over a few tokens, the last of which ends an answer; a prompt is token 0
   * (default: a random one with 4 tokens).
   */
  model?: Model
  /** Maximum length of an answer (default: 3). */
  length?: number
  /** Answers in a batch, all to one prompt (default: 3). */
  answers?: number
  /** Random seed of the weights and the rewards (default: 0). */
  seed?: number
  /** Reward of an answer (default: random numbers, some of them equal). */
  reward?(ids: readonly number[]): number
  /** Names of algorithms (default: all). */
  algorithms?: readonly string[]
}

/** How the gradient of an algorithm compares with the policy gradient. */
export interface OracleRow {
  algorithm: string
  /** What the algorithm promises. */
  expectation: GradientExpectation
  /** Cosine of the angle between both gradients. */
  cosine: number
  /** Length of the gradient along the policy gradient, in units of the latter: 1 if unbiased. */
  scale: number
  /** Distance of the gradient from the policy gradient, as a share of the latter; first divided by `scale` unless unbiased. */
  relativeError: number
  /** Whether the promise holds; a biased gradient must only point uphill. */
  passed: boolean
}

/** A row to compute: an algorithm, or an estimator and a loss. */
interface OracleCase {
  algorithm: string
  advantages: AdvantageInput
  loss: PolicyLossInput
  expectation: GradientExpectation
  maskTruncated?: boolean
  /** Values of the critic: the expected reward after each text, or 0. */
  critic: 'exact' | 'zero'
  /** The KL divergence from another random policy is part of the reward, and of the exact gradient. */
  klInReward?: boolean
}

/** An answer with its probability and what estimators may ask of it. */
interface OracleAnswer extends ScoredAnswer {
  example: CompletionTokens
  logProbs: Float32Array
  /** Under another random policy. */
  reference: Float32Array
  probability: number
}

const plainGae = { type: 'gae', whiten: false } as const

/**
 * Cases beside the algorithms as published. PPO without whitening is unbiased: with the rewards alone for any critic, and for
 * any λ with a perfect one. The KL divergence as a reward of tokens gives the gradient of reward minus divergence.
 */
const furtherCases: readonly OracleCase[] = [
  {
    algorithm: 'gae, perfect critic',
    advantages: { ...plainGae, lambda: 0.95 },
    loss: { type: 'ppo', aggregation: 'answer-sum' },
    expectation: 'unbiased',
    critic: 'exact',
  },
  {
    algorithm: 'gae, λ = 1, critic of zeros',
    advantages: { ...plainGae, lambda: 1 },
    loss: { type: 'ppo', aggregation: 'answer-sum' },
    expectation: 'unbiased',
    critic: 'zero',
  },
  {
    algorithm: 'gae, KL in the reward',
    advantages: { ...plainGae, lambda: 1 },
    loss: { type: 'ppo', aggregation: 'answer-sum' },
    expectation: 'unbiased',
    critic: 'zero',
    klInReward: true,
  },
  {
    algorithm: 'rloo, KL in the reward',
    advantages: { type: 'rloo' },
    loss: { type: 'rloo' },
    expectation: 'unbiased',
    critic: 'zero',
    klInReward: true,
  },
]

/** Coefficient of the KL divergence where it is part of the reward. */
const klCoefficient = 0.5

/** Largest relative error that rounding explains. */
const tolerance = 1e-4

/**
 * Compares the expected gradient of each algorithm with the exact policy gradient of the expected reward, at the first update
 * on sampled answers and without KL.
 */
export const policyGradientOracle = async (options: OracleOptions = {}): Promise<OracleRow[]> => {
  const { seed = 0, algorithms = algorithmTypes() } = options
  const model = options.model ?? tinyPolicy(seed)
  const answers = await enumerateAnswers(model, options)
  const exact = exactGradient(model, answers, 0)
  const exactWithKl = exactGradient(model, answers, klCoefficient)
  const named = algorithms.map(findAlgorithm).filter((found) => found !== undefined)
  const all = [...named.map(caseOf), ...(options.algorithms === undefined ? furtherCases : [])]
  return all.map((one) =>
    compare(one, one.klInReward ? exactWithKl : exact, expectedGradient(one, model, answers, options)),
  )
}

/** The gradient of the expected reward minus `coefficient` times the KL divergence from the reference. */
const exactGradient = (model: Model, answers: readonly OracleAnswer[], coefficient: number): Float64Array =>
  gradientVector(model, () => {
    const batch = collateCompletions(
      answers.map(({ example }) => example),
      { padded: true },
    )
    const logProbs = sumByCompletion(completionLogProbs(model, batch).logProbs, batch)
    const column = (read: (answer: OracleAnswer) => number) => Tensor.from(Float32Array.from(answers, read))
    const divergence = logProbs.sub(column(({ reference }) => reference.reduce((sum, value) => sum + value, 0)))
    const rewards = column(({ score }) => score ?? 0)
    return logProbs
      .exp()
      .mul(rewards.sub(divergence.mul(coefficient)))
      .sum()
  })

const caseOf = ({ type, ...rest }: AlgorithmDefinition): OracleCase => ({ ...rest, algorithm: type, critic: 'exact' })

/** A policy whose weights are large enough that its tokens differ in probability. */
const tinyPolicy = (seed: number, vocabulary = 4): Model => {
  const definition: ModelDefinition = models.llama
  const config = definition.adjust(definition.presets.test, {
    vocabSize: vocabulary,
    hiddenSize: 8,
    intermediateSize: 16,
    numLayers: 1,
    numHeads: 2,
    numKvHeads: 2,
  })
  const model = buildModel(definition, config, 'causal-lm')
  return model.initialize({ std: 0.7, generator: new Generator(seed) }).requireGrad(true)
}

/** All answers up to a length, with their probabilities, rewards and exact values. */
const enumerateAnswers = async (model: Model, options: OracleOptions): Promise<OracleAnswer[]> => {
  const { length = 3, seed = 0 } = options
  const vocabulary = model.facts.vocabSize
  const end = vocabulary - 1
  expectFewAnswers(vocabulary, length)
  const random = createRandom(`${seed}/rewards`)
  // Rounded, so that some answers have equal rewards.
  const reward = options.reward ?? (() => Math.round(2 * random.normal()) / 2)
  const sequences: number[][] = []
  const extend = (ids: readonly number[]): void => {
    for (let token = 0; token < vocabulary; token++) {
      const longer = [...ids, token]
      if (token === end || longer.length === length) sequences.push(longer)
      else extend(longer)
    }
  }
  extend([])
  const examples = sequences.map((ids) => ({ ids: Uint32Array.of(0, ...ids), starts: [0], promptTokens: 1 }))
  const how = { microTokens: 4096, padded: true }
  const scores = await scoreCompletions(model, examples, how)
  const references = await scoreCompletions(tinyPolicy(seed + 1, vocabulary), examples, how)
  const found = sequences.map((ids, i) => ({
    ids,
    probability: Math.exp(scores[i].logProbs.reduce((sum, value) => sum + value, 0)),
    score: reward(ids),
  }))
  const greedyScore = greedyAnswer(found, scores).score
  return found.map(({ ids, probability, score }, i) => ({
    example: examples[i],
    logProbs: scores[i].logProbs,
    reference: references[i].logProbs,
    probability,
    group: 0,
    rewards: [score],
    score,
    mask: new Uint8Array(ids.length).fill(1),
    finished: ids.at(-1) === end,
    values: [...ids.map((_, t) => expectedReward(found, ids.slice(0, t))), score],
    greedyScore,
  }))
}

const expectFewAnswers = (vocabulary: number, length: number): void => {
  const answers = vocabulary ** length
  if (answers > 512)
    throw new ConfigError(
      `Expected at most 512 answers to enumerate, got about ${answers} for ${vocabulary} tokens and a \`length\` of ${length}. Use a model with fewer tokens, or shorter answers.`,
    )
}

interface Weighed {
  ids: readonly number[]
  probability: number
  score: number
}

const startsWith = (ids: readonly number[], prefix: readonly number[]) => prefix.every((id, t) => ids[t] === id)

/** Expected reward of the answers that begin with a text. */
const expectedReward = (all: readonly Weighed[], prefix: readonly number[]): number => {
  const after = all.filter(({ ids }) => startsWith(ids, prefix))
  const total = after.reduce((sum, { probability }) => sum + probability, 0)
  return after.reduce((sum, { probability, score }) => sum + probability * score, 0) / total
}

/** The answer whose every token is the most likely one. */
const greedyAnswer = (all: readonly Weighed[], scores: readonly { logProbs: Float32Array }[]): Weighed => {
  let prefix: number[] = []
  for (;;) {
    const after = [...all.keys()].filter((i) => startsWith(all[i].ids, prefix))
    if (after.length === 1) return all[after[0]]
    const best = after.reduce((a, b) => (scores[b].logProbs[prefix.length] > scores[a].logProbs[prefix.length] ? b : a))
    prefix = [...prefix, all[best].ids[prefix.length]]
  }
}

/** Multisets of `size` of `count` things, with the number of orders in which each can be sampled. */
function* multisets(count: number, size: number): Iterable<{ picked: number[]; orders: number }> {
  const factorial = (n: number): number => (n < 2 ? 1 : n * factorial(n - 1))
  const picked = new Array<number>(size).fill(0)
  for (;;) {
    const times = new Map<number, number>()
    for (const i of picked) times.set(i, (times.get(i) ?? 0) + 1)
    yield { picked, orders: [...times.values()].reduce((n, same) => n / factorial(same), factorial(size)) }
    let at = size - 1
    while (at >= 0 && picked[at] === count - 1) at--
    if (at < 0) return
    picked.fill(picked[at] + 1, at)
  }
}

/** The gradient of an algorithm, averaged over all batches of answers with their probabilities. */
const expectedGradient = (
  { advantages, loss, maskTruncated = false, critic, klInReward = false }: OracleCase,
  model: Model,
  answers: readonly OracleAnswer[],
  { answers: size = 3, length = 3 }: OracleOptions,
): Float64Array => {
  const config = policySchema.parse({ loss, maxTokens: length })
  const estimator = advantageSchema.parse(advantages)
  const prepared = answers.map((answer): OracleAnswer => {
    const excluded = maskTruncated && !answer.finished
    const mask = excluded ? new Uint8Array(answer.mask.length) : answer.mask
    const values = critic === 'exact' ? answer.values : Array.from(answer.values ?? [], () => 0)
    const kl = klRewards({ ...answer, mask }, { coefficient: klCoefficient, estimator: 'k1' })
    return { ...answer, excluded, mask, values, ...(klInReward ? { tokenRewards: kl.tokenRewards } : {}) }
  })
  const examples = prepared.map(
    ({ example, mask }): RolloutExample => ({ ...example, mask, advantages: new Float32Array(mask.length) }),
  )
  const weights = examples.map((example) => policyWeight(example, config))
  // The gradient is linear in the advantages, since every ratio is 1: they are averaged in place of the gradient.
  const sums = prepared.map(({ mask }) => new Float64Array(mask.length))
  for (const { picked, orders } of multisets(answers.length, size)) {
    const weight = picked.reduce((sum, i) => sum + weights[i], 0)
    if (weight === 0) continue
    const probability = picked.reduce((product, i) => product * prepared[i].probability, orders)
    const batch = picked.map((i) => prepared[i])
    for (const [k, own] of estimateAdvantages(batch, estimator).advantages.entries())
      for (let t = 0; t < own.length; t++) sums[picked[k]][t] += (probability * own[t]) / weight
  }
  const criterion = policyCriterion(config)
  return gradientVector(model, () => {
    const batch = criterion.collate(
      examples.map((example, i) => ({ ...example, advantages: Float32Array.from(sums[i]) })),
      { padded: true },
    )
    const { terms } = criterion.loss(model, batch)
    return (terms.find(({ name }) => name === policyTerms.policy) ?? terms[0]).sum.neg()
  })
}

/** The gradient of a value with respect to all trained parameters of a model, as one vector. */
const gradientVector = (model: Model, value: () => Tensor): Float64Array => {
  const parameters = [...new Set(model.parameters().values())].filter(({ requiresGrad }) => requiresGrad)
  clearGrads(parameters)
  return scope(() => {
    value().backward()
    const parts = parameters.map(({ grad, size }) => grad?.toFloat32Array() ?? new Float32Array(size))
    clearGrads(parameters)
    return Float64Array.from(parts.flatMap((part) => [...part]))
  })
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i], 0)

const compare = (
  { algorithm, expectation }: Pick<OracleCase, 'algorithm' | 'expectation'>,
  exact: Float64Array,
  found: Float64Array,
): OracleRow => {
  const scale = dot(found, exact) / dot(exact, exact)
  const cosine = dot(found, exact) / Math.sqrt(dot(exact, exact) * dot(found, found))
  const divisor = expectation === 'unbiased' ? 1 : scale
  const error = found.map((value, i) => value / divisor - exact[i])
  const relativeError = Math.sqrt(dot(error, error) / dot(exact, exact))
  const passed = expectation === 'biased' ? cosine > 0 : relativeError < tolerance && scale > 0
  return { algorithm, expectation, cosine, scale, relativeError, passed }
}
