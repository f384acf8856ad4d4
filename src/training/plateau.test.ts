// Reduction on a plateau against torch.optim.lr_scheduler.ReduceLROnPlateau.
import { expect, it } from 'vitest'
import { afterEvaluation, plateauFactor } from './loop-state.ts'

it('reduces the rate as ReduceLROnPlateau does', () => {
  const settings = { patience: 1, factor: 0.5, floor: 0.1 }
  // ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=1, threshold=0, min_lr=0.1) with a rate of 1
  const metrics = [1, 2, 2, 1, 3, 3, 3, 2, 2, 1, 1, 1, 1, 4, 4, 4]
  const rates = [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
  let state: ReturnType<typeof afterEvaluation> | undefined
  let best = Number.NEGATIVE_INFINITY
  const seen = metrics.map((value) => {
    state = afterEvaluation(settings, state, value > best)
    best = Math.max(best, value)
    return plateauFactor(settings, state)
  })
  expect(seen).toEqual(rates)
  expect(plateauFactor(undefined, state)).toBe(1)
})
