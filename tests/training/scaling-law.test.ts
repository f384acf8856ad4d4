// The fit of L(N, D): on grids made from known constants, and against what papers state.
import { describe, expect, test } from 'vitest'
import { createRandom } from '../../src/core/index.ts'
import {
  boundedBy,
  fitScalingLaw,
  lossOf,
  optimalSplit,
  type ScalingLaw,
  type ScalingPoint,
} from '../../src/runs/index.ts'

/** arXiv:2203.15556, equation 10. */
const chinchilla: ScalingLaw = {
  irreducible: 1.69,
  sizeFactor: 406.4,
  sizeExponent: 0.34,
  tokenFactor: 410.7,
  tokenExponent: 0.28,
}
/** The same runs fitted again: arXiv:2404.10102, table 1. */
const replicated: ScalingLaw = {
  irreducible: 1.8172,
  sizeFactor: 482.01,
  sizeExponent: 0.3478,
  tokenFactor: 2085.43,
  tokenExponent: 0.3658,
}

const grid = (law: ScalingLaw, sizes: number[], budgets: number[], noise = 0, seed = ''): ScalingPoint[] => {
  const random = createRandom(`grid ${seed}`)
  return sizes.flatMap((size) =>
    budgets.map((tokens) => ({
      size,
      tokens,
      loss: lossOf(law, { size, tokens }) * Math.exp(noise * (random.float() + random.float() - 1)),
    })),
  )
}
const sizes = [44e6, 140e6, 400e6, 1.4e9, 4.5e9, 16e9]
const budgets = [2e9, 8e9, 30e9, 120e9]

describe('a fit', () => {
  test.each([
    ['of Chinchilla', chinchilla, sizes, budgets],
    ['of small runs', { ...chinchilla, irreducible: 2.3, tokenFactor: 95 }, [2e5, 6e5, 2e6, 6e6], [1e6, 4e6, 16e6]],
  ] as const)('%s gives back the constants of its grid', (_, law, own, tokens) => {
    const { law: found, error } = fitScalingLaw(grid(law, [...own], [...tokens]))
    expect(error).toBeLessThan(1e-6)
    for (const [name, value] of Object.entries(law)) {
      const ratio = found[name as keyof ScalingLaw] / value
      expect(ratio, name).toBeGreaterThan(0.99)
      expect(ratio, name).toBeLessThan(1.01)
    }
  })

  test.each([
    ['of the replication', replicated],
    ['larger for sizes', { ...chinchilla, sizeExponent: 0.6, sizeFactor: 4e4 }],
    ['smaller for tokens', { ...chinchilla, tokenExponent: 0.2, tokenFactor: 80 }],
  ] as const)('follows its grid to other exponents, %s, at ten times its operations', (_, law) => {
    const fit = fitScalingLaw(grid(law, sizes, budgets))
    expect(fit.error).toBeLessThan(0.01)
    // They are pulled towards those that are expected.
    for (const target of [
      { size: 16e9, tokens: 1.2e12 },
      { size: 160e9, tokens: 120e9 },
      { size: 50e9, tokens: 400e9 },
    ]) {
      const truth = lossOf(law, target)
      expect(Math.abs(lossOf(fit.law, target) / truth - 1)).toBeLessThan(0.02)
    }
  })

  test('predicts ten times the compute of its largest run within 1.5 %, within an interval that covers the truth', () => {
    const target = { size: 40e9, tokens: 500e9 }
    let covered = 0
    for (let seed = 0; seed < 20; seed++) {
      const fit = fitScalingLaw(grid(replicated, sizes, budgets, 0.004, String(seed)), { resamples: 60 })
      const { value, low, high } = boundedBy(fit, (law) => lossOf(law, target))
      const truth = lossOf(replicated, target)
      expect(Math.abs(value / truth - 1)).toBeLessThan(0.015)
      expect(low).toBeLessThanOrEqual(high)
      if (low <= truth && truth <= high) covered++
    }
    // 95 % of them, give or take.
    expect(covered).toBeGreaterThanOrEqual(16)
  })

  test('is moved little by one run that is far off', () => {
    const points = grid(chinchilla, sizes, budgets)
    points[7] = { ...points[7], loss: 1.2 * points[7].loss }
    const { law } = fitScalingLaw(points, { resamples: 0 })
    const target = { size: 70e9, tokens: 1.4e12 }
    expect(Math.abs(lossOf(law, target) / lossOf(chinchilla, target) - 1)).toBeLessThan(0.01)
  })

  test('refuses too few runs, too few sizes and losses that are not finite', () => {
    const few = grid(chinchilla, sizes.slice(0, 1), budgets)
    expect(() => fitScalingLaw(few)).toThrow(/at least 6 runs of 3 sizes and 3 numbers of tokens.* got 4 of 1 and 4/)
    expect(() => fitScalingLaw(grid(chinchilla, sizes, budgets.slice(0, 2)))).toThrow(/got 12 of 6 and 2/)
    const points = grid(chinchilla, sizes, budgets)
    points[0].loss = Number.NaN
    expect(() => fitScalingLaw(points)).toThrow(/got NaN.*diverged/)
  })
})

describe('the compute-optimal split', () => {
  test('has the lowest loss of all sizes with the same operations', () => {
    const flops = 1e21
    const { size, tokens } = optimalSplit(replicated, flops)
    expect(6 * size * tokens).toBeCloseTo(flops, -8)
    const least = lossOf(replicated, { size, tokens })
    for (const factor of [0.5, 0.8, 0.97, 1.03, 1.25, 2])
      expect(lossOf(replicated, { size: factor * size, tokens: tokens / factor })).toBeGreaterThan(least)
  })

  test('of the replicated constants is the model that was trained: 70B parameters, 1.4T tokens', () => {
    // arXiv:2404.10102 finds its fit consistent with the 20 tokens for each parameter of Chinchilla at 5.76e23 FLOPs.
    const { size, tokens } = optimalSplit(replicated, 5.76e23)
    expect(Math.abs(size / 70e9 - 1)).toBeLessThan(0.1)
    expect(Math.abs(tokens / 1.4e12 - 1)).toBeLessThan(0.1)
  })

  test('grows as arXiv:2203.15556 states for its third approach: sizes with the power 0.46 of the compute', () => {
    const [small, large] = [1e19, 1e24].map((flops) => optimalSplit(chinchilla, flops))
    const power = Math.log(large.size / small.size) / Math.log(1e5)
    expect(power).toBeCloseTo(0.28 / 0.62)
    // The paper's constants are rounded to two digits.
    expect(Math.abs(power - 0.46)).toBeLessThan(0.01)
  })
})
