import { expect, it } from 'vitest'
import { parseConfig } from '../core/index.ts'
import { initialLossScale, type LossScale, lossScaleMetrics, lossScaleSettings, nextLossScale } from './loop-state.ts'
import { trainingSchema } from './settings.ts'

const settingsOf = (input: object) => parseConfig(trainingSchema, input, 'training')

it('float16 alone has a loss scale, 65,536 at first', () => {
  expect(initialLossScale(settingsOf({ precision: 'float16' }))).toEqual({ scale: 65_536, sound: 0, skipped: 0 })
  expect(initialLossScale(settingsOf({ precision: 'float16', lossScale: { initial: 8 } }))?.scale).toBe(8)
  for (const precision of ['float32', 'bfloat16']) expect(initialLossScale(settingsOf({ precision }))).toBeUndefined()
  expect(lossScaleSettings(settingsOf({}).lossScale)).toEqual({ initial: 65_536, growthInterval: 2000 })
  expect(() => settingsOf({ lossScale: { initial: 0.5 } })).toThrow(/initial/)
})

it('halves at each overflow, and doubles after so many steps in a row without one', () => {
  let state: LossScale = { scale: 16, sound: 0, skipped: 0 }
  const scales: number[] = []
  for (const overflow of [true, false, false, true, false, false, false, false, false, false]) {
    state = nextLossScale(state, { overflow, growthInterval: 3, step: 1 })
    scales.push(state.scale)
  }
  expect(scales).toEqual([8, 8, 8, 4, 4, 4, 8, 8, 8, 16])
  expect(state.skipped).toBe(2)
})

it('does not grow beyond float32', () => {
  const state = nextLossScale(
    { scale: 2 ** 127, sound: 0, skipped: 0 },
    { overflow: false, growthInterval: 1, step: 1 },
  )
  expect(state.scale).toBe(2 ** 127)
})

it('ends the run rather than fall below 1', () => {
  const at = (scale: number) => () =>
    nextLossScale({ scale, sound: 3, skipped: 16 }, { overflow: true, growthInterval: 2000, step: 17 })
  expect(at(2)().scale).toBe(1)
  expect(at(1)).toThrow(
    /^Training stopped in step 17: gradients are not finite in float16 although the loss scale is 1, .* `precision` to bfloat16\.$/,
  )
})

it('a step records the scale that it had', () => {
  const [before, after] = [
    { scale: 16, sound: 0, skipped: 0 },
    { scale: 8, sound: 0, skipped: 1 },
  ]
  expect(lossScaleMetrics(before, after)).toEqual({ lossScale: 16, skippedSteps: 1 })
  expect(lossScaleMetrics(undefined, undefined)).toEqual({})
})
