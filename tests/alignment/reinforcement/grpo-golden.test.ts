// Policy losses with their gradients and statistics, advantages and the penalty of long answers against TRL 1.16, by
// make-grpo.py, and of GSPO-token against TRL 1.9.2, by make-ppo.py. One difference is intended: TRL counts masked answers
// in the divisor, which criterion.test.ts holds ours not to do.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  advantageSchema,
  estimateAdvantages,
  overlongPenalty,
  type PolicyInput,
  policySchema,
  type ScoredAnswer,
} from '../../../src/alignment/index.ts'
import { collateRollouts } from '../../../src/alignment/reinforcement/policy-batch.ts'
import { policyLoss } from '../../../src/alignment/reinforcement/policy-terms.ts'
import { Tensor } from '../../../src/tensor/index.ts'

interface LossCase {
  config: {
    loss_type: string
    level?: string
    low?: number
    high?: number
    delta?: number
    beta?: number
    bias_correction?: boolean
    off_policy?: number
    top_entropy?: number
    importance?: [string, 'truncate' | 'mask', number]
  }
  loss: number
  gradient: number[][]
  metrics?: Record<string, number>
}

interface AdvantageCase {
  kind: 'grpo' | 'rloo'
  settings: Record<string, unknown>
  rewards: (number | null)[][]
  advantages: number[]
}

const golden = JSON.parse(readFileSync(new URL('golden/grpo.json', import.meta.url), 'utf8')) as {
  tokens: Record<'toolMask' | 'new' | 'old' | 'reference' | 'sampling' | 'entropies', number[][]> & {
    lengths: number[]
    advantages: number[]
  }
  losses: LossCase[]
  advantages: { weights: number[]; cases: AdvantageCase[] }
  overlong: { lengths: number[]; penalties: number[] }
}
const { gspoToken } = JSON.parse(readFileSync(new URL('golden/ppo.json', import.meta.url), 'utf8')) as {
  gspoToken: LossCase[]
}
const { tokens } = golden
const { lengths } = tokens

/** Our settings for those of TRL. */
const settingsOf = ({ config }: LossCase): PolicyInput => {
  const { loss_type: type, level, low, high, delta, beta, importance } = config
  const clip = { ...(low === undefined ? {} : { clipLow: low }), ...(high === undefined ? {} : { clipHigh: high }) }
  const dual = delta === undefined ? {} : { dualClip: delta }
  const losses: Record<string, PolicyInput['loss']> = {
    grpo: level === 'sequence' ? { type: 'gspo', ...clip } : { type: 'grpo', ...clip, ...dual },
    luspo: { type: 'gspo', aggregation: 'answer-sum', ...clip },
    dr_grpo: { type: 'dr-grpo' },
    dapo: { type: 'dapo', clipHigh: high ?? 0.2 },
    cispo: { type: 'cispo', maxRatio: high ?? 5 },
    sapo: { type: 'sapo' },
    gmpo: { type: 'gmpo', ...clip },
    'gspo-token': { type: 'gspo-token', ...clip },
    rloo: { type: 'rloo', ...clip },
  }
  return {
    loss: losses[type],
    maxTokens: 10,
    ...(beta === undefined ? {} : { kl: { coefficient: beta, ratioCorrected: config.bias_correction ?? false } }),
    ...(config.off_policy === undefined ? {} : { offPolicyThreshold: config.off_policy }),
    ...(config.top_entropy === undefined ? {} : { highEntropyShare: config.top_entropy }),
    ...(importance === undefined
      ? {}
      : {
          importance: {
            level: importance[0] === 'token' ? 'token' : 'answer',
            beyond: importance[1],
            cap: importance[2],
          },
        }),
  }
}

/** Ids do not matter: the log-probabilities are given. */
const rollouts = (learned?: number[][]) =>
  lengths.map((length, i) => {
    const row = (values: number[][]) => Float32Array.from(values[i].slice(0, length))
    return {
      ids: new Uint32Array(length + 1),
      starts: [0],
      promptTokens: 1,
      mask: Uint8Array.from(tokens.toolMask[i].slice(0, length)),
      advantages: new Float32Array(length).fill(tokens.advantages[i]),
      oldLogProbs: row(tokens.old),
      referenceLogProbs: row(tokens.reference),
      samplingLogProbs: row(tokens.sampling),
      ...(learned === undefined ? {} : { learned: Uint8Array.from(learned[i].slice(0, length)) }),
    }
  })

const trained = lengths.flatMap((length, i) =>
  Array.from({ length }, (_, t) => [i, t] as const).filter(([row, t]) => tokens.toolMask[row][t] === 1),
)
const flat = (values: number[][]) => trained.map(([i, t]) => values[i][t])

describe('a policy loss is that of TRL', () => {
  it.each([...golden.losses, ...gspoToken].map((one) => [JSON.stringify(one.config), one] as const))('%s', (_, one) => {
    const config = policySchema.parse(settingsOf(one))
    const withoutSampling = one.config.importance === undefined
    const examples = rollouts(topEntropy(one.config.top_entropy)).map(({ samplingLogProbs, ...rest }) =>
      withoutSampling ? rest : { ...rest, samplingLogProbs },
    )
    const batch = collateRollouts(examples, config, { padded: true })
    const logProbs = Tensor.from(Float32Array.from(flat(tokens.new)), { shape: [trained.length] })
    logProbs.requiresGrad = true
    const entropy = Tensor.from(Float32Array.from(flat(tokens.entropies)), { shape: [trained.length] })
    const { terms, metrics } = policyLoss({ logProbs, entropy }, batch, config, config.kl?.coefficient ?? 0)
    const loss = terms.map(({ sum, weight, scale }) => sum.mul(scale / weight)).reduce((a, b) => a.add(b))
    loss.backward()
    expect(Math.abs(loss.item() - one.loss)).toBeLessThan(1e-6)
    const gradient = logProbs.grad?.toFloat32Array() ?? []
    for (const [k, expected] of flat(one.gradient).entries())
      expect(Math.abs(gradient[k] - expected), `token ${k}`).toBeLessThan(1e-6)
    const measured = (name: string) =>
      Number(metrics[name].sum instanceof Tensor ? metrics[name].sum.item() : metrics[name].sum) / metrics[name].weight
    // TRL gives statistics of whole answers one vote per answer, we one per token.
    if (one.config.level === 'sequence' || one.metrics === undefined) return
    expect(Math.abs(measured('entropy') - one.metrics.entropy)).toBeLessThan(1e-5)
    const { 'clip_ratio/low_mean': low, 'clip_ratio/high_mean': high } = one.metrics
    // With a second clip TRL compares the clipped ratios, so that the lower clip is the same.
    if (low !== undefined) expect(Math.abs(measured('clipFractionLow') - low)).toBeLessThan(1e-5)
    if (high !== undefined) expect(Math.abs(measured('clipFractionHigh') - high)).toBeLessThan(1e-5)
  })
})

/** The mask that the criterion makes, here from TRL's entropies, which are of the current model. */
function topEntropy(share: number | undefined): number[][] | undefined {
  if (share === undefined) return undefined
  const sorted = flat(tokens.entropies).sort((a, b) => a - b)
  const place = (1 - share) * (sorted.length - 1)
  const low = Math.floor(place)
  const threshold = sorted[low] + (place - low) * (sorted[Math.ceil(place)] - sorted[low])
  return tokens.entropies.map((row) => row.map((value) => Number(value >= threshold)))
}

describe('advantages are those of TRL', () => {
  it.each(golden.advantages.cases.map((one) => [JSON.stringify([one.kind, one.settings]), one] as const))(
    '%s',
    (_, { kind, settings, rewards, advantages }) => {
      const weights = golden.advantages.weights.slice(0, rewards[0].length)
      const range = settings.reward_clip_range as [number, number] | undefined
      const answers = rewards.map((own, i): ScoredAnswer => {
        const scored = own.some((reward) => reward !== null)
        const sum = own.reduce<number>((total, reward, k) => total + (reward ?? 0) * weights[k], 0)
        const [low, high] = range ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
        return {
          group: Math.floor(i / 4),
          rewards: own,
          score: scored ? Math.min(high, Math.max(low, sum)) : null,
          mask: Uint8Array.of(1, 1),
          finished: true,
        }
      })
      const config =
        kind === 'rloo'
          ? { type: 'rloo' as const, normalise: settings.normalize_advantages === true }
          : settings.multi_objective_aggregation === undefined
            ? { type: 'group-relative' as const, scale: settings.scale_rewards as 'group' | 'batch' | 'none' }
            : { type: 'gdpo' as const }
      const found = estimateAdvantages(answers, advantageSchema.parse(config), { rewardWeights: weights })
      advantages.forEach((expected, i) => {
        // Rounding makes TRL's standard deviation of equal rewards differ from 0; ours are compared exactly.
        const tolerance = 1e-5 * Math.max(1, Math.abs(expected))
        expect(Math.abs(found.advantages[i][0] - expected), `answer ${i}`).toBeLessThan(tolerance)
        expect(found.advantages[i][1]).toBe(found.advantages[i][0])
      })
    },
  )
})

it('the penalty of long answers is that of TRL', () => {
  const { lengths: counts, penalties } = golden.overlong
  const settings = { maxLength: 24, zone: 10, penalty: 1 }
  for (const [i, count] of counts.entries()) expect(overlongPenalty(count, settings)).toBeCloseTo(penalties[i], 6)
})
