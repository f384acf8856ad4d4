// AOT: alignment via optimal transport, which compares sorted values over the whole global batch. Each pair is told its partner in
// the sorted order before the loss, so the loss is a sum over pairs again, with the exact gradient. @source arXiv:2406.05882
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { logistic } from './margin-objectives.ts'
import {
  type BatchLogProbs,
  betaField,
  type PairObjective,
  type PairSide,
  referenceFields,
  referenceOptions,
  refuseDivergence,
  smoothingField,
} from './objective.ts'
import { definePairs } from './pair-criterion.ts'

const fields = z.strictObject({
  beta: betaField(0.1),
  labelSmoothing: smoothingField(0, 'share of pairs whose labels are taken to be wrong'),
  ...referenceFields,
})
type Config = z.output<typeof fields>

const parts = (type: string, config: Config): Pick<PairObjective, 'options' | 'reward'> => {
  refuseDivergence(type, config)
  if (config.weighting)
    throw new ConfigError(
      `\`weighting\` weighs pairs, and \`${type}\` compares values of different pairs: set \`weighting\` to false, or choose another objective.`,
    )
  return { options: referenceOptions(config), reward: ({ ratio }: PairSide) => ratio.mul(config.beta) }
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

const carryNothing = { initial: [] }

export const aot = definePairs({
  type: 'aot',
  source: 'arXiv:2406.05882',
  summary: 'optimal transport: the margins of the policy dominate those of the reference over the whole batch',
  config: fields,
  reference: true,
  learningRate: 1e-6,
  lossAtReference: () => Math.LN2,
  create: (config) => ({
    ...parts('aot', config),
    wholeBatch: {
      ...carryNothing,
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
  config: fields,
  reference: true,
  learningRate: 1e-6,
  lossAtReference: () => Math.LN2,
  create: (config) => ({
    ...parts('aot-unpaired', config),
    wholeBatch: {
      ...carryNothing,
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
