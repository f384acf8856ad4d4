// Objectives that need no reference model: SimPO, CPO, AlphaPO and ORPO.
import { z } from 'zod'
import type { Tensor } from '../../tensor/index.ts'
import { logistic } from './margin-objectives.ts'
import { freeFields, freeOptions, type PairSide, smoothingField } from './objective.ts'
import { definePairs } from './pair-criterion.ts'

const smoothed = smoothingField(0, 'share of pairs whose labels are taken to be wrong')
const scaleField = (beta: number) => z.number().positive().default(beta).describe('factor of the rewards')
const targetField = (ratio: number) =>
  z.number().nonnegative().default(ratio).describe('target of the reward margin, divided by beta (gamma / beta)')

const perToken = ({ policy, length }: PairSide): Tensor => policy.div(length)

export const simpo = definePairs({
  type: 'simpo',
  source: 'arXiv:2405.14734',
  summary: 'simple preference optimisation: log-probabilities per token with a target margin',
  config: z.strictObject({
    beta: scaleField(2.5),
    gammaRatio: targetField(0.55),
    labelSmoothing: smoothed,
    ...freeFields(0),
  }),
  reference: false,
  learningRate: 1e-6,
  create: ({ beta, gammaRatio, labelSmoothing, ...shared }) => ({
    options: freeOptions(shared),
    reward: (side) => perToken(side).mul(beta),
    loss: ({ chosen, rejected }) =>
      logistic(perToken(chosen).sub(perToken(rejected)).sub(gammaRatio).mul(beta), labelSmoothing),
  }),
})

export const cpo = definePairs({
  type: 'cpo',
  source: 'arXiv:2401.08417',
  summary: 'contrastive preference optimisation: DPO without a reference, and cross entropy of chosen answers',
  config: z.strictObject({ beta: scaleField(0.1), labelSmoothing: smoothed, ...freeFields(1) }),
  reference: false,
  learningRate: 1e-6,
  create: ({ beta, labelSmoothing, ...shared }) => ({
    options: freeOptions(shared),
    reward: ({ policy }) => policy.mul(beta),
    loss: ({ chosen, rejected }) => logistic(chosen.policy.sub(rejected.policy).mul(beta), labelSmoothing),
  }),
})

/** `(1 - p^-alpha) / alpha` of the mean probability per token; its limit at 0 is the log-probability. */
const shaped = (side: PairSide, alpha: number): Tensor => {
  const mean = perToken(side)
  if (alpha === 0) return mean
  return mean.mul(-alpha).clamp({ max: 80 }).exp().neg().add(1).div(alpha)
}

// alpha, beta, gamma and the learning rate are those of Mistral-Instruct in Table 3 of the paper, as TRL's index of papers lists them: 0.25,
// 2.5, 0.1 and 7e-7. TRL's gamma is the margin itself, so that gamma / beta is 0.04.
export const alphaPo = definePairs({
  type: 'alphapo',
  source: 'arXiv:2501.03884',
  summary: 'SimPO with a reward that is a power of the probability per token',
  config: z.strictObject({
    beta: scaleField(2.5),
    gammaRatio: targetField(0.04),
    alpha: z.number().min(-2).max(2).default(0.25).describe('shape of the reward (0: the log-probability, as SimPO)'),
    ...freeFields(0),
  }),
  reference: false,
  learningRate: 7e-7,
  create: ({ beta, gammaRatio, alpha, ...shared }) => ({
    options: freeOptions(shared),
    reward: (side) => shaped(side, alpha).mul(beta),
    loss: ({ chosen, rejected }) =>
      logistic(shaped(chosen, alpha).sub(shaped(rejected, alpha)).sub(gammaRatio).mul(beta)),
  }),
})

/** Mean probabilities per token are kept below 1, where the odds are infinite. */
const nearlyOne = -1e-7

/** Logarithm of the odds `p / (1 - p)` of the mean probability per token. */
const logOdds = (side: PairSide): Tensor => {
  const mean = perToken(side).clamp({ max: nearlyOne })
  return mean.sub(mean.expm1().neg().log())
}

export const orpo = definePairs({
  type: 'orpo',
  source: 'arXiv:2403.07691',
  summary: 'odds ratio preference optimisation: cross entropy of chosen answers, and the ratio of odds',
  config: z.strictObject({
    lambda: z.number().nonnegative().default(0.1).describe('weight of the odds ratio'),
    promptLoss: z
      .boolean()
      .default(true)
      .describe('cross entropy over prompt and answer, as the authors compute it; false: over the answer'),
  }),
  reference: false,
  learningRate: 8e-6,
  create: ({ lambda, promptLoss }) => ({
    options: { ...freeOptions({ sftWeight: 1, weighting: false }), sftPrompt: promptLoss },
    reward: (side) => perToken(side).mul(lambda),
    loss: ({ chosen, rejected }) => logOdds(chosen).sub(logOdds(rejected)).logSigmoid().mul(-lambda),
  }),
})
