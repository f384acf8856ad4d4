// `planRun`: what a run costs, by its recipe. Expected numbers come from the run itself and from arithmetic.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { planRun } from '../../src/runs/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

const recipe = (more: object = {}) => ({ ...smallRecipe(data, `${data.root}/run`, more), command: 'pretrain' })

describe('a plan of a pretraining run', () => {
  test('has steps, tokens, memory and time by a card', async () => {
    const { rows, speed, memoryBytes } = await planRun(recipe(), { gpu: 'a100', count: 2, pricePerHour: 3 })
    const [run] = rows
    expect(rows).toHaveLength(1)
    expect(run.steps).toBe(20)
    expect(run.tokens).toBeCloseTo(20 * run.tokensPerStep)
    expect(run.flops).toBeCloseTo(20 * run.flopsPerStep)
    expect(speed?.flopsPerSecond).toBeCloseTo(2 * 0.4 * 19.5e12)
    expect(run.costs?.seconds).toBeCloseTo(run.flops / (2 * 0.4 * 19.5e12))
    expect(run.costs?.money).toBeCloseTo(((run.costs?.seconds ?? 0) / 3600) * 3)
    expect(memoryBytes).toBe(80e9)
    expect(run.memory.holders.some(({ label }) => label === 'optimizer state')).toBe(true)
  })

  test('counts the steps that a budget of minutes allows', async () => {
    const { rows } = await planRun(recipe({ budget: { minutes: 1 } }), { gpu: 't4' })
    expect(rows[0].costs?.seconds).toBeLessThanOrEqual(60)
    expect(rows[0].costs?.seconds).toBeGreaterThan(59)
  })

  test('finds the steps within limits of time, and the limit that decides', async () => {
    const { fit, rows } = await planRun(recipe(), { gpu: 't4', pricePerHour: 2, fit: { hours: 1, money: 1 } })
    expect(fit?.binds).toEqual(['money'])
    expect(fit?.steps).toBe(Math.floor((0.5 * 3600 * 0.4 * 8.1e12) / rows[0].flopsPerStep))
  })

  test('refuses an unknown card with the nearest name, and settings without effect', async () => {
    await expect(planRun(recipe(), { gpu: 'h10' })).rejects.toThrow(/Did you mean h100/)
    await expect(planRun(recipe(), { count: 2 })).rejects.toThrow(/need a graphics card/)
    await expect(planRun(recipe(), { gpu: 't4', measure: true })).rejects.toThrow(/remove `gpu`/)
    await expect(planRun(recipe(), { gpu: 't4', fit: { memory: 1000 } })).rejects.toThrow(/`fit.memory`/)
  })
})
