// Objectives that depend only on the difference of the two rewards: DPO and its relatives. Each is a function of the margin, so any
// divergence and label noise can be combined with it.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import {
  betaField,
  type Divergence,
  type PairSide,
  referenceFields,
  referenceOptions,
  smoothingField,
} from './objective.ts'
import { definePairs } from './pair-criterion.ts'

// @source arXiv:2309.16240
/** Exponents are limited, since the exponential of a log-ratio of a thousand nats is infinite. */
const mostExponent = 80

const exponential = (x: Tensor): Tensor => x.clamp({ max: mostExponent }).exp()

/** Score of a log-ratio, float64 [P], with its gradient. */
const scoreOf = (
  { ratio }: PairSide,
  { divergence, divergenceAlpha: alpha }: { divergence: Divergence; divergenceAlpha: number },
): Tensor => scores[divergence](ratio, alpha)

const scores: Record<Divergence, (ratio: Tensor, alpha: number) => Tensor> = {
  'reverse-kl': (ratio) => ratio,
  // 1 - 1/u
  'forward-kl': (ratio) => exponential(ratio.neg()).neg().add(1),
  // log(2u / (1 + u))
  'jensen-shannon': (ratio) => ratio.logSigmoid().add(Math.log(2)),
  // (u^(alpha - 1) - 1) / (alpha - 1)
  alpha: (ratio, alpha) =>
    exponential(ratio.mul(alpha - 1))
      .sub(1)
      .div(alpha - 1),
}

interface Scored {
  divergence: Divergence
  divergenceAlpha: number
}

const summed = (config: Scored) => (side: PairSide) => scoreOf(side, config)
const averaged = (config: Scored) => (side: PairSide) => scoreOf(side, config).div(side.length)

/** An objective of `margin = score(chosen) - score(rejected)`. */
const ofMargin = <Config extends Parameters<typeof referenceOptions>[0] & { beta: number }>(
  config: Config,
  score: (side: PairSide) => Tensor,
  loss: (margin: Tensor) => Tensor,
) => ({
  options: referenceOptions(config),
  loss: ({ chosen, rejected }: { chosen: PairSide; rejected: PairSide }) => loss(score(chosen).sub(score(rejected))),
  reward: (side: PairSide) => score(side).mul(config.beta),
})

/** Logistic loss in which a share of the labels is taken to be wrong. */
export const logistic = (logits: Tensor, smoothing = 0): Tensor => {
  const right = logits.logSigmoid().mul(smoothing - 1)
  return smoothing === 0 ? right : right.sub(logits.neg().logSigmoid().mul(smoothing))
}

const smoothed = smoothingField(0, 'share of pairs whose labels are taken to be wrong (conservative DPO)')

/** What objectives share whose loss is logistic. */
export const logisticStart = { reference: true, learningRate: 1e-6, lossAtReference: () => Math.LN2 }

// The learning rate is TRL's. Adapters take ten times as much (`adapterLearningRate`): 1e-5, as TRL's guide to DPO with PEFT has it.
export const dpo = definePairs({
  type: 'dpo',
  source: 'arXiv:2305.18290',
  summary: 'direct preference optimisation: logistic loss of the reward margin',
  config: z.strictObject({ beta: betaField(0.1), labelSmoothing: smoothed, ...referenceFields }),
  ...logisticStart,
  create: (config) =>
    ofMargin(config, summed(config), (margin) => logistic(margin.mul(config.beta), config.labelSmoothing)),
})

export const dpoNorm = definePairs({
  type: 'dpo-norm',
  source: 'arXiv:2411.15124',
  summary: 'DPO with rewards per token, as in Tülu 3',
  config: z.strictObject({ beta: betaField(5), labelSmoothing: smoothed, ...referenceFields }),
  reference: true,
  learningRate: 5e-7,
  lossAtReference: () => Math.LN2,
  create: (config) =>
    ofMargin(config, averaged(config), (margin) => logistic(margin.mul(config.beta), config.labelSmoothing)),
})

export const robustDpo = definePairs({
  type: 'robust-dpo',
  source: 'arXiv:2403.00409',
  summary: 'DPO with an unbiased loss under noisy labels',
  config: z.strictObject({
    beta: betaField(0.1),
    labelSmoothing: smoothingField(0.1, 'share of pairs whose labels are taken to be wrong'),
    ...referenceFields,
  }),
  ...logisticStart,
  create: (config) =>
    ofMargin(config, summed(config), (margin) => {
      const { labelSmoothing: noise, beta } = config
      const logits = margin.mul(beta)
      const clean = logits.logSigmoid().mul(noise - 1)
      return clean.add(logits.neg().logSigmoid().mul(noise)).div(1 - 2 * noise)
    }),
})

export const hinge = definePairs({
  type: 'hinge',
  source: 'arXiv:2305.10425',
  summary: 'hinge loss of the reward margin, as SLiC',
  config: z.strictObject({ beta: betaField(0.1), ...referenceFields }),
  reference: true,
  learningRate: 1e-6,
  lossAtReference: () => 1,
  create: (config) => ofMargin(config, summed(config), (margin) => margin.mul(-config.beta).add(1).relu()),
})

/** Squared distance of the margin from `1 / (2 beta)`. */
const towardsTarget = (beta: number) => (margin: Tensor) => margin.sub(1 / (2 * beta)).square()

export const ipo = definePairs({
  type: 'ipo',
  source: 'arXiv:2310.12036',
  summary: 'identity preference optimisation, with log-ratios per token',
  config: z.strictObject({ beta: betaField(0.1), ...referenceFields }),
  reference: true,
  learningRate: 1e-6,
  lossAtReference: ({ beta }) => (0.5 / beta) ** 2,
  create: (config) => ofMargin(config, averaged(config), towardsTarget(config.beta)),
})

export const ipoSum = definePairs({
  type: 'ipo-sum',
  source: 'arXiv:2310.12036',
  summary: 'identity preference optimisation, with log-ratios of whole answers',
  config: z.strictObject({ beta: betaField(0.1), ...referenceFields }),
  reference: true,
  learningRate: 1e-6,
  lossAtReference: ({ beta }) => (0.5 / beta) ** 2,
  create: (config) => ofMargin(config, summed(config), towardsTarget(config.beta)),
})

export const exo = definePairs({
  type: 'exo',
  source: 'arXiv:2402.00856',
  summary: 'exact optimisation: reverse KL divergence from the smoothed labels',
  config: z.strictObject({
    beta: betaField(0.1),
    labelSmoothing: smoothingField(1e-3, 'probability of the rejected answer in the labels; not 0'),
    ...referenceFields,
  }),
  reference: true,
  learningRate: 1e-6,
  lossAtReference: ({ labelSmoothing: noise }) => -Math.LN2 - (Math.log1p(-noise) + Math.log(noise)) / 2,
  create: (config) => {
    const { beta, labelSmoothing: smoothing } = config
    if (smoothing === 0)
      throw new ConfigError(
        'Expected more than 0 for `labelSmoothing` of exo, got 0: its loss would be infinite. Use 0.001.',
      )
    return ofMargin(config, summed(config), (margin) => {
      const logits = margin.mul(beta)
      const [won, lost] = [logits.logSigmoid(), logits.neg().logSigmoid()]
      const chosen = won.exp().mul(won.sub(Math.log1p(-smoothing)))
      return chosen.add(lost.exp().mul(lost.sub(Math.log(smoothing))))
    })
  },
})

export const discopop = definePairs({
  type: 'discopop',
  source: 'arXiv:2406.08414',
  summary: 'discovered loss: logistic and exponential, blended by the margin',
  config: z.strictObject({
    beta: betaField(0.1),
    tau: z.number().positive().default(0.05).describe('margin over which the two losses are blended'),
    ...referenceFields,
  }),
  reference: true,
  learningRate: 1e-6,
  lossAtReference: () => (Math.LN2 + 1) / 2,
  create: ({ tau, ...config }) =>
    ofMargin(config, summed(config), (margin) => {
      const logits = margin.mul(config.beta)
      const blend = logits.div(tau).sigmoid()
      const exponential = logits.neg().clamp({ max: 80 }).exp()
      return logistic(logits).mul(blend.neg().add(1)).add(exponential.mul(blend))
    }),
})
