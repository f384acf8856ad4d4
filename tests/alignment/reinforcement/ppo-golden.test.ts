// PPO against TRL 1.9.2, by make-ppo.py: rewards of tokens with the KL penalty, GAE, whitening, and the losses of policy and
// critic with their gradients, in two updates.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  advantageSchema,
  estimateAdvantages,
  klRewards,
  policySchema,
  rewardShapingSchema,
  type ScoredAnswer,
  shapeReward,
} from '../../../src/alignment/index.ts'
import { valueLosses } from '../../../src/alignment/reinforcement/critic.ts'
import { collateRollouts } from '../../../src/alignment/reinforcement/policy-batch.ts'
import { policyLoss } from '../../../src/alignment/reinforcement/policy-terms.ts'
import { Tensor } from '../../../src/tensor/index.ts'

interface Case {
  settings: Record<string, unknown>
  logProbs: number[][]
  reference: number[][]
  /** One more than there are tokens. */
  values: number[][]
  scores: number[]
  whitened: { given: number[][]; mask: number[][]; shiftMean: boolean; found: number[][] }[]
  updates: (Record<'newLogProbs' | 'newValues' | 'policyGradient' | 'valueGradient', number[][]> &
    Record<'policyLoss' | 'valueLoss' | 'policyClipped' | 'valueClipped', number>)[]
}

const golden = JSON.parse(readFileSync(new URL('golden/ppo.json', import.meta.url), 'utf8')) as {
  answers: number[][]
  end: number
  missingEosPenalty: number
  cases: Case[]
}
const { answers, end } = golden
const finished = answers.map((ids) => ids.includes(end))
const masks = answers.map((ids) => new Uint8Array(ids.length).fill(1))

const scoredAnswers = ({ settings, logProbs, reference, values, scores }: Case): ScoredAnswer[] => {
  const shaping = rewardShapingSchema.parse({ missingEndPenalty: golden.missingEosPenalty })
  const coefficient = (settings.kl_coef as number | undefined) ?? 0.05
  const estimator = (settings.kl_estimator as 'k3' | undefined) ?? 'k1'
  return answers.map((_, i) => {
    const mask = masks[i]
    const { score } = shapeReward({ reward: scores[i], finished: finished[i], mask }, shaping)
    const { tokenRewards } = klRewards(
      { mask, logProbs: logProbs[i], reference: reference[i] },
      { coefficient, estimator },
    )
    return { group: i, rewards: [scores[i]], score, mask, finished: finished[i], tokenRewards, values: values[i] }
  })
}

const gaeOf = ({ settings }: Case, more: object) =>
  advantageSchema.parse({
    type: 'gae',
    gamma: settings.gamma ?? 1,
    lambda: settings.lam ?? 0.95,
    whitenRewards: settings.whiten_rewards ?? false,
    scoreAt: 'after-end',
    ...more,
  })

const near = (found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string) => {
  for (let t = 0; t < found.length; t++)
    expect(Math.abs(found[t] - expected[t]), `${what}, token ${t}`).toBeLessThan(tolerance)
}

describe.each(golden.cases.map((one) => [JSON.stringify(one.settings), one] as const))('PPO %s', (_, one) => {
  const scored = scoredAnswers(one)
  const plain = estimateAdvantages(scored, gaeOf(one, { whiten: false }))
  const whitened = estimateAdvantages(scored, gaeOf(one, { whiten: true }))
  const recorded = one.whitened.at(-1)!

  it('has the advantages of TRL before and after whitening', () => {
    answers.forEach((_, i) => {
      near(plain.advantages[i], recorded.given[i], 2e-5, `answer ${i}`)
      near(whitened.advantages[i], recorded.found[i], 2e-5, `answer ${i}, whitened`)
    })
  })

  it.each([0, 1])('has the losses and gradients of TRL in update %i', (update) => {
    const expected = one.updates[update]
    const { cliprange: clip = 0.2, cliprange_value: valueClip = 0.2, vf_coef: coefficient = 0.1 } = one.settings
    const config = policySchema.parse({
      loss: { type: 'ppo', clipLow: clip, clipHigh: clip },
      value: { clip: valueClip, coefficient },
    })
    const returns = plain.returns!
    const examples = answers.map((ids, i) => ({
      ids: Uint32Array.from([1, ...ids]),
      starts: [0],
      promptTokens: 1,
      mask: masks[i],
      advantages: whitened.advantages[i],
      oldLogProbs: Float32Array.from(one.logProbs[i].slice(0, ids.length)),
      returns: returns[i],
      oldValues: Float32Array.from(one.values[i].slice(0, returns[i].length)),
    }))
    const batch = collateRollouts(examples, config, { padded: true })
    const places = answers.flatMap((ids, i) => ids.map((_, t) => [i, t] as const))
    const valuePlaces = answers.flatMap((_, i) => [...returns[i]].map((_, t) => [i, t] as const))
    const leaf = (values: number[][], where: (readonly [number, number])[]) => {
      const tensor = Tensor.from(
        Float32Array.from(where, ([i, t]) => values[i][t]),
        { shape: [where.length] },
      )
      tensor.requiresGrad = true
      return tensor
    }
    const logProbs = leaf(expected.newLogProbs, places)
    const values = leaf(expected.newValues, valuePlaces)
    const { terms, metrics } = policyLoss({ logProbs, entropy: logProbs.detach() }, batch, config, 0)
    const { losses, clipped } = valueLosses(values, batch.values!, config.value)
    const policy = terms[0].sum.div(terms[0].weight)
    const value = losses.sum().div(batch.values!.count)
    policy.add(value.mul(config.value.coefficient)).backward()
    expect(Math.abs(policy.item() - expected.policyLoss)).toBeLessThan(1e-5)
    expect(Math.abs(value.item() - expected.valueLoss)).toBeLessThan(1e-5)
    expect(clipped!.sum().item() / batch.values!.count).toBeCloseTo(expected.valueClipped, 6)
    const share = (name: string) => Number((metrics[name].sum as Tensor).item()) / metrics[name].weight
    expect(share('clipFractionLow') + share('clipFractionHigh')).toBeCloseTo(expected.policyClipped, 6)
    const at = (values: number[][], where: (readonly [number, number])[]) => where.map(([i, t]) => values[i][t])
    near(logProbs.grad!.toFloat32Array(), at(expected.policyGradient, places), 1e-5, 'policy')
    near(values.grad!.toFloat32Array(), at(expected.valueGradient, valuePlaces), 1e-5, 'critic')
  })
})
