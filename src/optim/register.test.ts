import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ConfigError, parseConfig } from '../core/index.ts'
import { ones, Tensor } from '../tensor/index.ts'
import {
  createOptimizer,
  defineOptimizer,
  defineSchedule,
  optimizerSchema,
  registerOptimizer,
  registerSchedule,
  type ScheduleConfig,
  scheduleAt,
  scheduleSchema,
} from './index.ts'

describe('an optimizer of another package', () => {
  const signDescent = defineOptimizer({
    type: 'test-sign-descent',
    source: 'this test',
    summary: 'The sign of the gradient; no state.',
    config: z.strictObject({
      type: z.literal('test-sign-descent'),
      weightDecay: z.number().default(0),
      decayVectors: z.boolean().default(false),
      decayEmbeddings: z.boolean().default(false),
      layerDecay: z.number().default(1),
    }),
    defaultLearningRate: () => 0.5,
    slots: () => ({}),
    update: (_, updates) => {
      for (const { weight, gradient, learningRate } of updates) weight.sub_(gradient.sign(), { alpha: learningRate })
    },
  })

  it('is accepted by the schema and updates parameters once it is registered', () => {
    expect(() => parseConfig(optimizerSchema, { type: 'test-sign-descent' }, 'optimizer')).toThrow(/adafactor/)
    registerOptimizer(signDescent)
    const config = parseConfig(optimizerSchema, { type: 'test-sign-descent' }, 'optimizer')
    const weight = ones([2])
    const optimizer = createOptimizer(config, new Map([['weight', weight]]))
    optimizer.step(new Map([['weight', Tensor.from([3, -4])]]), { learningRate: 0.5 })
    expect(weight.toArray()).toEqual([0.5, 1.5])
  })

  it('cannot take the name of another optimizer', () => {
    expect(() => registerOptimizer({ ...signDescent, type: 'adamw' })).toThrow(ConfigError)
    expect(() => registerOptimizer({ ...signDescent, type: 'adamw' })).toThrow(/`adamw`, which is registered/)
  })
})

describe('a schedule of another package', () => {
  it('sets the learning rate once it is registered, under a name of its own', () => {
    const half = defineSchedule({
      type: 'test-half',
      summary: 'Half of the peak.',
      source: 'this test',
      config: z.strictObject({ type: z.literal('test-half') }),
      needsTotalSteps: () => false,
      at: () => 0.5,
    })
    registerSchedule(half)
    const config = parseConfig(scheduleSchema, { type: 'test-half' }, 'schedule') as ScheduleConfig
    expect(scheduleAt(config, { step: 3, totalSteps: 10 })).toBe(0.5)
    expect(() => registerSchedule({ ...half, type: 'linear' })).toThrow(/`linear`, which is registered/)
  })
})
