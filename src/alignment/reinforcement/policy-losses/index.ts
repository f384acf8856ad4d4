// The policy losses and their registry.
import { z } from 'zod'
import { openUnion, Registry } from '../../../core/index.ts'
import { noGrad, onesLike, type Tensor } from '../../../tensor/index.ts'
import {
  type Aggregation,
  aggregationField,
  definePolicyLoss,
  type PolicyLossDefinition,
  type PolicyTokens,
  type TokenLosses,
} from './policy-loss.ts'

/** Largest absolute log-ratio: beyond it the exponential would overflow. */
const mostLogRatio = 20

const limited = (logRatio: Tensor): Tensor => logRatio.clamp({ min: -mostLogRatio, max: mostLogRatio })

/** Logarithm of the ratio of each token. */
const logRatioOf = ({ logProbs, oldLogProbs }: PolicyTokens): Tensor => limited(logProbs.sub(oldLogProbs))

/** Tokens whose clipped ratio decides the loss, so that they have no gradient: bool [N] each. */
const clippedTokens = (ratio: Tensor, advantages: Tensor, low: number, high: number): TokenLosses['clipped'] =>
  noGrad(() => ({
    low: ratio.lt(1 - low).logicalAnd(advantages.lt(0)),
    high: ratio.gt(1 + high).logicalAnd(advantages.gt(0)),
  }))

/**
 * Settings and loss of the clipped surrogate, `−min(ρA, clip(ρ, 1 − low, 1 + high)A)`, with ρ at most `dualClip`.
 * @param ratioOf ρ, float32 [N] with a gradient (default: that of each token)
 * @source PPO, arXiv:1707.06347; dual clip, arXiv:1912.09729
 */
const clipped = (
  low: number,
  high: number,
  aggregation: Aggregation,
  ratioOf = (tokens: PolicyTokens): Tensor => logRatioOf(tokens).exp(),
) => ({
  config: z.strictObject({
    clipLow: z.number().min(0).max(1).default(low).describe('ratios below 1 minus this are clipped'),
    clipHigh: z.number().min(0).default(high).describe('ratios above 1 plus this are clipped'),
    dualClip: z
      .number()
      .gt(1)
      .optional()
      .describe('ratios above this are clipped at negative advantages too, which are unbounded otherwise; often 3'),
    aggregation: aggregationField(aggregation),
  }),
  losses(tokens: PolicyTokens, settings: { clipLow: number; clipHigh: number; dualClip?: number }): TokenLosses {
    const { clipLow, clipHigh, dualClip } = settings
    const { advantages } = tokens
    const ratio = ratioOf(tokens)
    const bounded = dualClip === undefined ? ratio : ratio.clamp({ max: dualClip })
    const within = ratio.clamp({ min: 1 - clipLow, max: 1 + clipHigh })
    const losses = bounded.mul(advantages).minimum(within.mul(advantages)).neg()
    return { losses, ratio, clipped: clippedTokens(ratio, advantages, clipLow, clipHigh) }
  },
})

// Averaged over all tokens of the global batch. For language models: arXiv:1909.08593
const ppo = definePolicyLoss({ type: 'ppo', source: 'arXiv:1707.06347', ...clipped(0.2, 0.2, 'token-mean') })

// Averaged over the tokens of each answer, then over answers.
const grpo = definePolicyLoss({ type: 'grpo', source: 'arXiv:2402.03300', ...clipped(0.2, 0.2, 'answer-mean') })

// As GRPO, with more room for ratios above 1, averaged over all tokens.
const dapo = definePolicyLoss({ type: 'dapo', source: 'arXiv:2503.14476', ...clipped(0.2, 0.28, 'token-mean') })

// As GRPO, summed over tokens and divided by the maximum length, so that long answers are not favoured.
const drGrpo = definePolicyLoss({ type: 'dr-grpo', source: 'arXiv:2503.20783', ...clipped(0.2, 0.2, 'fixed-length') })

// The ratio of a whole answer, as the geometric mean of the ratios of its tokens.
const gspo = definePolicyLoss({
  type: 'gspo',
  source: 'arXiv:2507.18071',
  ...clipped(3e-4, 4e-4, 'answer-mean', (tokens) => tokens.answers.mean(logRatioOf(tokens)).exp()),
})

// The ratio has the value of GSPO's and the gradient of each token, so that tokens of one answer may have different advantages (section 4.3).
const gspoToken = definePolicyLoss({
  type: 'gspo-token',
  source: 'arXiv:2507.18071',
  ...clipped(3e-4, 4e-4, 'answer-mean', (tokens) => {
    const ofAnswer = tokens.answers.mean(logRatioOf(tokens)).detach()
    return ofAnswer.add(tokens.logProbs.sub(tokens.logProbs.detach())).exp()
  }),
})

// The ratio of a whole answer as the product of those of its tokens. Without an update in between, its gradient is that of REINFORCE.
const rlooLoss = definePolicyLoss({
  type: 'rloo',
  source: 'arXiv:2402.14740',
  ...clipped(0.2, 0.2, 'answer-mean', ({ logProbs, oldLogProbs, answers }) =>
    limited(answers.sum(logProbs.sub(oldLogProbs))).exp(),
  ),
})

// The ratio is a weight without a gradient, limited from above (5: arXiv:2510.13786); every token keeps the gradient of its log-probability.
const cispo = definePolicyLoss({
  type: 'cispo',
  source: 'arXiv:2506.13585',
  config: z.strictObject({
    maxRatio: z.number().positive().default(5).describe('ratios above this weigh no more'),
    aggregation: aggregationField('token-mean'),
  }),
  losses(tokens, { maxRatio }) {
    const { logProbs, advantages } = tokens
    const ratio = logRatioOf(tokens).exp()
    const losses = ratio.detach().clamp({ max: maxRatio }).mul(advantages).mul(logProbs).neg()
    const high = noGrad(() => ratio.gt(maxRatio).logicalAnd(advantages.gt(0)))
    return { losses, ratio, clipped: { low: noGrad(() => high.logicalAnd(high.logicalNot())), high } }
  },
})

// The geometric mean of the ratios of an answer's tokens, each of which is clipped as logarithm on the side where PPO clips.
const gmpo = definePolicyLoss({
  type: 'gmpo',
  source: 'arXiv:2507.20673',
  config: z.strictObject({
    clipLow: z.number().nonnegative().default(0.4).describe('log-ratios below minus this are clipped'),
    clipHigh: z.number().nonnegative().default(0.4).describe('log-ratios above this are clipped'),
    aggregation: aggregationField('answer-mean'),
  }),
  losses(tokens, { clipLow, clipHigh }) {
    const { advantages, answers } = tokens
    const logRatio = logRatioOf(tokens)
    const within = logRatio.clamp({ min: -clipLow, max: clipHigh })
    const oneSided = logRatio.minimum(within).where(advantages.gt(0), logRatio.maximum(within))
    const ofAnswer = answers.mean(oneSided).exp()
    return {
      losses: ofAnswer.mul(advantages).neg(),
      ratio: ofAnswer,
      clipped: clippedTokens(logRatio.exp(), advantages, 1 - Math.exp(-clipLow), Math.expm1(clipHigh)),
    }
  },
})

// `−A · log π` of each token, without a ratio: for one update on each batch of answers.
const reinforceLoss = definePolicyLoss({
  type: 'reinforce',
  source: 'Williams 1992',
  config: z.strictObject({ aggregation: aggregationField('answer-sum') }),
  losses: (tokens) => ({
    losses: tokens.logProbs.mul(tokens.advantages).neg(),
    ratio: logRatioOf(tokens).exp(),
  }),
})

// A smooth gate in place of clipping, `−A · σ(τ(ρ − 1)) · 4/τ`, whose slope at ρ = 1 is that of the plain ratio.
const sapo = definePolicyLoss({
  type: 'sapo',
  source: 'arXiv:2511.20347',
  config: z.strictObject({
    temperaturePositive: z.number().positive().default(1).describe('sharpness of the gate at positive advantages, τ'),
    temperatureNegative: z.number().positive().default(1.05).describe('sharpness of the gate at other advantages, τ'),
    aggregation: aggregationField('answer-mean'),
  }),
  losses(tokens, { temperaturePositive, temperatureNegative }) {
    const { advantages } = tokens
    const ratio = logRatioOf(tokens).exp()
    const sharpness = noGrad(() =>
      onesLike(advantages).mul(temperaturePositive).where(advantages.gt(0), temperatureNegative),
    )
    const gate = ratio.sub(1).mul(sharpness).sigmoid().mul(4).div(sharpness)
    return { losses: gate.mul(advantages).neg(), ratio }
  },
})

const registry = new Registry<PolicyLossDefinition>('a policy loss')

/** Every policy loss by its `type`, those that packages registered included. */
export const policyLosses = registry.builtIn([
  cispo,
  dapo,
  drGrpo,
  gmpo,
  grpo,
  gspo,
  gspoToken,
  ppo,
  reinforceLoss,
  rlooLoss,
  sapo,
])
/** Names of the built-in policy losses. */
export type PolicyLossType = keyof typeof policyLosses

/** Settings of any policy loss, told apart by `type`. */
export const policyLossSchema = openUnion('type', () =>
  registry.list.map(({ config }) => config as (typeof policyLosses)[PolicyLossType]['config']),
)
/** Checked settings of a built-in policy loss, defaults filled in. */
export type PolicyLossConfig = z.output<typeof policyLossSchema>
/** Settings of a built-in policy loss as a recipe writes them. */
export type PolicyLossInput = z.input<typeof policyLossSchema>

/** Adds a policy loss to recipes and flags. @throws ConfigError for a `type` that is taken */
export const registerPolicyLoss = (definition: PolicyLossDefinition): void => registry.register(definition)

export const tokenLosses = (tokens: PolicyTokens, config: PolicyLossConfig): TokenLosses =>
  (policyLosses[config.type] as PolicyLossDefinition).losses(tokens, config)

export {
  type Aggregation,
  AnswerTokens,
  aggregate,
  definePolicyLoss,
  type PolicyLossDefinition,
  type PolicyTokens,
  type TokenLosses,
} from './policy-loss.ts'
