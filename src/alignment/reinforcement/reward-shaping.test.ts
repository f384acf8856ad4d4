import { describe, expect, it } from 'vitest'
import { adaptiveKlSchema, KlController } from './kl-divergence.ts'
import { combineRewards, klRewards, rewardShapingSchema, shapeReward, withScore } from './reward-shaping.ts'
import { explainedVariance, whiten } from './whitening.ts'

const mask = new Uint8Array(4).fill(1)
const scoreOf = (settings: object, reward: number | null, finished: boolean, length = 4) =>
  shapeReward({ reward, finished, mask: new Uint8Array(length).fill(1) }, rewardShapingSchema.parse(settings))

describe('shapeReward', () => {
  it('subtracts a penalty from answers without an end token, or replaces their score', () => {
    expect(scoreOf({ missingEndPenalty: 1 }, 0.5, false).score).toBe(-0.5)
    expect(scoreOf({ missingEndPenalty: 1 }, 0.5, true).score).toBe(0.5)
    expect(scoreOf({ missingEndScore: -1 }, 5, false).score).toBe(-1)
    expect(scoreOf({ missingEndScore: -1 }, 5, true).score).toBe(5)
    expect(rewardShapingSchema.safeParse({ missingEndScore: -1, missingEndPenalty: 1 }).success).toBe(false)
  })

  it('clips last, and leaves answers without a score alone', () => {
    expect(scoreOf({ clip: 2, missingEndPenalty: 1 }, 9, false).score).toBe(2)
    expect(scoreOf({ clip: 2 }, -9, true).score).toBe(-2)
    expect(scoreOf({ clip: 2, missingEndScore: -1 }, null, false).score).toBeNull()
  })

  it('adds the penalty of long answers, and excludes truncated ones on request', () => {
    const settings = { overlong: { maxLength: 8, zone: 4 }, maskTruncated: true }
    expect(scoreOf(settings, 1, true, 4)).toEqual({ score: 1, excluded: false })
    expect(scoreOf(settings, 1, true, 6)).toEqual({ score: 0.5, excluded: false })
    expect(scoreOf(settings, 1, false, 9)).toEqual({ score: 0, excluded: true })
  })
})

it('combineRewards sums with weights and skips functions that could not score', () => {
  expect(combineRewards([1, null, 4], [1, 10, 0.5])).toBe(3)
  expect(combineRewards([null, null])).toBeNull()
  expect(() => combineRewards([1], [1, 2])).toThrow('Expected a weight for each of 1 reward functions, got 2.')
})

describe('rewards of tokens', () => {
  it('penalise the KL divergence at trained tokens, with k3 clamped', () => {
    const given = { mask: Uint8Array.of(1, 0, 1), logProbs: [-1, -5, -2], reference: [-1.5, -1, -1] }
    const k1 = klRewards(given, { coefficient: 0.1, estimator: 'k1' })
    expect([...k1.tokenRewards].map((value) => Number(value.toFixed(6)))).toEqual([-0.05, 0, 0.1])
    expect(k1.kl).toBeCloseTo(-0.5, 12)
    const k3 = klRewards(given, { coefficient: 1, estimator: 'k3' })
    expect(k3.tokenRewards[0]).toBeCloseTo(-(Math.exp(-0.5) + 0.5 - 1), 12)
    const far = { mask: Uint8Array.of(1), logProbs: [-90], reference: [-1] }
    expect(klRewards(far, { coefficient: 1, estimator: 'k3' }).tokenRewards[0]).toBe(-10)
  })

  it('have the score at the last trained token, or one place after the end', () => {
    const ended = { mask: Uint8Array.of(1, 1, 0, 1, 0), finished: false, score: 3 }
    expect([...withScore([1, 1, 1, 1, 1], ended, 'end')]).toEqual([1, 1, 1, 4, 1])
    expect([...withScore(undefined, { mask, finished: true, score: 3 }, 'after-end')]).toEqual([0, 0, 0, 0, 3])
    // Nothing follows an answer that was cut off.
    expect([...withScore(undefined, { mask, finished: false, score: 3 }, 'after-end')]).toEqual([0, 0, 0, 3])
  })
})

describe('whiten', () => {
  const values = [
    [1, 2, 99],
    [3, 6],
  ]
  const masks = [
    [1, 1, 0],
    [1, 1],
  ]

  it('uses the mean and the variance of the trained tokens of all answers', () => {
    const deviation = Math.sqrt((4 + 1 + 0 + 9) / 3 + 1e-8)
    const [a, b] = whiten(values, masks)
    expect(a[0]).toBeCloseTo(-2 / deviation, 6)
    expect(a[2]).toBe(0)
    expect(b[1]).toBeCloseTo(3 / deviation, 6)
    expect(whiten(values, masks, { shiftMean: false })[1][0]).toBeCloseTo(3, 6)
  })

  it('gives 0 for a single token, where others divide by 0', () => {
    expect([...whiten([[5]], [[1]])[0]]).toEqual([0])
  })
})

it('explainedVariance is 1 for a perfect critic and 0 for a constant one', () => {
  const masks = [[1, 1, 1]]
  expect(explainedVariance([[1, 2, 3]], [[1, 2, 3]], masks)).toBe(1)
  expect(explainedVariance([[1, 2, 3]], [[7, 7, 7]], masks)).toBe(0)
  expect(explainedVariance([[2, 2, 2]], [[1, 2, 3]], masks)).toBeNaN()
})

describe('KlController', () => {
  it('stays constant without a target', () => {
    const controller = new KlController(0.1)
    controller.update(100, 8)
    expect(controller.coefficient).toBe(0.1)
  })

  it('moves towards the target by at most 20 % of answers / horizon', () => {
    const controller = new KlController(0.1, adaptiveKlSchema.parse({ target: 4, horizon: 100 }))
    controller.update(4.4, 10)
    expect(controller.coefficient).toBeCloseTo(0.1 * (1 + (0.1 * 10) / 100), 12)
    controller.update(400, 10)
    expect(controller.coefficient).toBeCloseTo(0.101 * 1.02, 12)
    controller.update(Number.NaN, 10)
    expect(controller.coefficient).toBeCloseTo(0.101 * 1.02, 12)
  })

  it('is saved and loaded as JSON', () => {
    const controller = new KlController(0.1, adaptiveKlSchema.parse({}))
    controller.update(12, 64)
    const other = new KlController(0.5, adaptiveKlSchema.parse({}))
    other.load(JSON.parse(JSON.stringify(controller.save())))
    expect(other.coefficient).toBe(controller.coefficient)
    expect(() => other.load({ coefficient: 'x' })).toThrow('coefficient of the KL penalty')
  })
})
