// The oracle on every algorithm. The exact gradient differentiates the probabilities of all answers; the algorithms use the
// score function, an estimator and the criterion: that both agree to rounding checks either.
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineAlgorithm, registerAlgorithm } from './algorithms.ts'
import { algorithmTypes, policyGradientOracle } from './index.ts'
import { definePolicyLoss, registerPolicyLoss } from './policy-losses/index.ts'

const rows = await policyGradientOracle()
const rowOf = (algorithm: string) => rows.find((row) => row.algorithm === algorithm)!

describe('the gradient of an algorithm, averaged over all batches of three answers', () => {
  it('is computed for every algorithm, and each keeps its promise', () => {
    expect(rows.map(({ algorithm }) => algorithm)).toEqual(expect.arrayContaining(algorithmTypes()))
    expect(rows.filter(({ passed }) => !passed)).toEqual([])
  })

  it.each([
    'rloo',
    'reinforce',
    'remax',
    'gae, perfect critic',
    'gae, λ = 1, critic of zeros',
    'gae, KL in the reward',
    'rloo, KL in the reward',
  ])('is the policy gradient: %s', (algorithm) => {
    expect(rowOf(algorithm).relativeError).toBeLessThan(1e-5)
    expect(rowOf(algorithm).scale).toBeCloseTo(1, 5)
  })

  it('has the direction of the policy gradient and a known length: dr-grpo', () => {
    // A group of G answers scales by (G − 1) / G, since each answer is in its own baseline; the length divides.
    expect(rowOf('dr-grpo').scale).toBeCloseTo(2 / 3 / 3, 5)
    expect(rowOf('dr-grpo').relativeError).toBeLessThan(1e-5)
  })

  it.each(['grpo', 'dapo', 'gspo', 'gmpo', 'sapo', 'cispo', 'ppo', 'reinforce-plus-plus'])(
    'is biased by the deviation or the length it divides by, and still points uphill: %s',
    (algorithm) => {
      expect(rowOf(algorithm).relativeError).toBeGreaterThan(0.01)
      expect(rowOf(algorithm).cosine).toBeGreaterThan(0.85)
    },
  )

  it('does not depend on the form of the ratio, which is 1', () => {
    for (const other of ['gspo', 'gspo-token', 'sapo', 'gmpo'])
      expect(rowOf(other).cosine).toBeCloseTo(rowOf('grpo').cosine, 6)
  })
})

it('finds an algorithm that does not keep its promise', async () => {
  const forgetsSign = definePolicyLoss({
    type: 'wrong-sign',
    source: 'invented',
    config: z.strictObject({ aggregation: z.literal('answer-sum').default('answer-sum') }),
    losses: ({ logProbs, oldLogProbs, advantages }) => ({
      losses: logProbs.mul(advantages),
      ratio: logProbs.sub(oldLogProbs).exp(),
    }),
  })
  registerPolicyLoss(forgetsSign)
  const common = { source: 'invented', summary: 'invented', answersPerPrompt: 2, epochs: 1 }
  const loss = { type: 'reinforce' as const }
  registerAlgorithm(
    defineAlgorithm({
      ...common,
      type: 'wrong-baseline',
      advantages: { type: 'group-relative', scale: 'none' },
      loss,
      expectation: 'unbiased',
    }),
  )
  registerAlgorithm(
    defineAlgorithm({
      ...common,
      type: 'wrong-direction',
      advantages: { type: 'rloo' },
      loss: { ...loss, type: 'wrong-sign' as 'reinforce' },
      expectation: 'biased',
    }),
  )
  const found = await policyGradientOracle({ answers: 2, algorithms: ['wrong-baseline', 'wrong-direction', 'rloo'] })
  expect(found.map(({ algorithm, passed }) => [algorithm, passed])).toEqual([
    ['wrong-baseline', false],
    ['wrong-direction', false],
    ['rloo', true],
  ])
  // The answer's own score in its baseline halves the gradient of pairs.
  expect(found[0].scale).toBeCloseTo(0.5, 5)
  expect(found[1].cosine).toBeCloseTo(-1, 5)
})
