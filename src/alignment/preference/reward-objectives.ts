// Objectives that say for each answer what its reward should be, and not only for their difference: NCA, BCO, APO and SPPO;
// and AOT, whose rewards are compared over the whole batch.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { logistic, logisticStart } from './margin-objectives.ts'
import {
  type BatchLogProbs,
  betaField,
  type PairObjective,
  type PairSide,
  referenceFields,
  referenceOptions,
  refuseDivergence,
  smoothingField,
  type WholeBatch,
} from './objective.ts'
import { definePairs } from './pair-criterion.ts'

const fields = z.strictObject({ beta: betaField(0.1), ...referenceFields })
type Config = z.output<typeof fields>

/** What all of them share: rewards are `beta` times the log-ratio. */
const parts = (type: string, config: Config): Pick<PairObjective, 'options' | 'reward'> => {
  refuseDivergence(type, config)
  return { options: referenceOptions(config), reward: ({ ratio }: PairSide) => ratio.mul(config.beta) }
}

export const nca = definePairs({
  type: 'nca',
  source: 'arXiv:2402.05369',
  summary: 'noise contrastive alignment: the reward of the chosen answer does not fall',
  config: fields,
  reference: true,
  learningRate: 5e-7,
  lossAtReference: () => 2 * Math.LN2,
  create: (config) => {
    const shared = parts('nca', config)
    return {
      ...shared,
      loss: ({ chosen, rejected }) => {
        const [won, lost] = [shared.reward(chosen), shared.reward(rejected)]
        const both = won.neg().logSigmoid().add(lost.neg().logSigmoid())
        return won.logSigmoid().add(both.mul(0.5)).neg()
      },
    }
  },
})

/** The mean of all rewards so far, those of this batch included. */
const runningMean = (beta: number): WholeBatch => ({
  initial: [0, 0],
  constants: (batch, [sum, count]) => {
    let total = sum
    const { chosen, rejected, referenceChosen, referenceRejected } = batch
    for (let i = 0; i < chosen.length; i++)
      total += beta * (chosen[i] - referenceChosen[i] + rejected[i] - referenceRejected[i])
    const carried = [total, count + 2 * chosen.length]
    const mean = total / carried[1]
    return { perPair: Array.from(chosen, () => [mean]), carried }
  },
})

export const bco = definePairs({
  type: 'bco',
  source: 'arXiv:2404.04656',
  summary: 'binary classifier optimisation: rewards above and below their running mean',
  config: fields.extend({
    shift: z
      .enum(['running-mean', 'none'])
      .default('running-mean')
      .describe('threshold between good and bad rewards: their running mean, which costs a forward pass, or 0'),
  }),
  reference: true,
  learningRate: 5e-7,
  lossAtReference: () => 2 * Math.LN2,
  create: ({ shift, ...config }) => {
    const shared = parts('bco', config)
    const shifts = shift === 'running-mean'
    return {
      ...shared,
      wholeBatch: shifts ? runningMean(config.beta) : undefined,
      loss: ({ chosen, rejected, constant }) => {
        const [won, lost] = [shared.reward(chosen), shared.reward(rejected)]
        if (!shifts) return won.logSigmoid().add(lost.neg().logSigmoid()).neg()
        const mean = constant(0)
        return won.sub(mean).logSigmoid().add(mean.sub(lost).logSigmoid()).neg()
      },
    }
  },
})

export const apoZero = definePairs({
  type: 'apo-zero',
  source: 'arXiv:2408.06266',
  summary: 'anchored preference optimisation, where chosen answers are better than those of the model',
  config: fields,
  reference: true,
  learningRate: 2e-7,
  lossAtReference: () => 1,
  create: (config) => {
    const shared = parts('apo-zero', config)
    return {
      ...shared,
      loss: ({ chosen, rejected }) => shared.reward(rejected).sigmoid().sub(shared.reward(chosen).sigmoid()).add(1),
    }
  },
})

export const apoDown = definePairs({
  type: 'apo-down',
  source: 'arXiv:2408.06266',
  summary: 'anchored preference optimisation, where chosen answers are worse than those of the model',
  config: fields,
  reference: true,
  learningRate: 2e-7,
  lossAtReference: () => 1,
  create: (config) => {
    const shared = parts('apo-down', config)
    return {
      ...shared,
      loss: ({ chosen, rejected }) => {
        const [won, lost] = [shared.reward(chosen), shared.reward(rejected)]
        return won.sigmoid().sub(won.sub(lost).sigmoid()).add(1)
      },
    }
  },
})

export const sppo = definePairs({
  type: 'sppo',
  source: 'arXiv:2405.00675',
  summary: 'self-play preference optimisation with hard labels: log-ratios of plus and minus 1 / (2 beta)',
  // Section 5 of the paper: eta = 1000, which is 1 / beta, and a learning rate of 5e-7; the authors' scripts/dpo.sh has the same.
  config: fields.extend({ beta: betaField(1e-3) }),
  reference: true,
  learningRate: 5e-7,
  lossAtReference: ({ beta }) => 2 * (0.5 / beta) ** 2,
  create: (config) => {
    const target = 0.5 / config.beta
    return {
      ...parts('sppo', config),
      loss: ({ chosen, rejected }) => chosen.ratio.sub(target).square().add(rejected.ratio.add(target).square()),
    }
  },
})

// AOT: alignment via optimal transport, which compares sorted values over the whole global batch. Each pair is told its partner in
// the sorted order before the loss, so the loss is a sum over pairs again, with the exact gradient. @source arXiv:2406.05882
const sortedFields = z.strictObject({
  beta: betaField(0.1),
  labelSmoothing: smoothingField(0, 'share of pairs whose labels are taken to be wrong'),
  ...referenceFields,
})

const sortedParts = (type: string, config: z.output<typeof sortedFields>) => {
  refuseDivergence(type, config)
  if (config.weighting)
    throw new ConfigError(
      `\`weighting\` weighs pairs, and \`${type}\` compares values of different pairs: set \`weighting\` to false, or choose another objective.`,
    )
  return parts(type, config)
}

/** Indices in the order of their values; equal values keep their order. */
const sortedOrder = (values: Float64Array): number[] =>
  Array.from(values, (_, i) => i).sort((a, b) => values[a] - values[b] || a - b)

/** For each element of `of`, the element of `among` that has its rank. */
const partners = (of: Float64Array, among: Float64Array): Float64Array => {
  const found = new Float64Array(of.length)
  const ranked = among.slice().sort()
  for (const [rank, i] of sortedOrder(of).entries()) found[i] = ranked[rank]
  return found
}

const difference = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value - b[i])

export const aot = definePairs({
  type: 'aot',
  source: 'arXiv:2406.05882',
  summary: 'optimal transport: the margins of the policy dominate those of the reference over the whole batch',
  config: sortedFields,
  ...logisticStart,
  create: (config) => ({
    ...sortedParts('aot', config),
    wholeBatch: {
      initial: [],
      constants: ({ chosen, rejected, referenceChosen, referenceRejected }: BatchLogProbs) => {
        const own = partners(difference(chosen, rejected), difference(referenceChosen, referenceRejected))
        return { perPair: Array.from(own, (value) => [value]), carried: [] }
      },
    },
    loss: ({ chosen, rejected, constant }) =>
      logistic(chosen.policy.sub(rejected.policy).sub(constant(0)).mul(config.beta), config.labelSmoothing),
  }),
})

export const aotUnpaired = definePairs({
  type: 'aot-unpaired',
  source: 'arXiv:2406.05882',
  summary: 'optimal transport: the rewards of chosen answers dominate those of rejected ones over the whole batch',
  config: sortedFields,
  ...logisticStart,
  create: (config) => ({
    ...sortedParts('aot-unpaired', config),
    wholeBatch: {
      initial: [],
      constants: ({ chosen, rejected, referenceChosen, referenceRejected }: BatchLogProbs) => {
        const won = difference(chosen, referenceChosen)
        const lost = difference(rejected, referenceRejected)
        const [ofWon, ofLost] = [partners(won, lost), partners(lost, won)]
        return { perPair: Array.from(won, (_, i) => [ofWon[i], ofLost[i]]), carried: [] }
      },
    },
    loss: ({ chosen, rejected, constant }) => {
      const of = (margin: ReturnType<typeof constant>) => logistic(margin.mul(config.beta), config.labelSmoothing)
      // Each comparison is computed twice over the batch, once with a gradient for either side: the value counts half.
      const both = of(chosen.ratio.sub(constant(0))).add(of(constant(1).sub(rejected.ratio)))
      return both.sub(both.detach().mul(0.5))
    },
  }),
})
