import { expect, it } from 'vitest'
import { parseConfig } from '../core/index.ts'
import { trainingSchema } from './settings.ts'

const parse = (input: object) => parseConfig(trainingSchema, input, 'training')

it('has a default for everything but the end', () => {
  const settings = parse({})
  expect(settings).toMatchObject({
    seed: 0,
    batch: { microTokens: 8192, padded: false },
    budget: {},
    optimizer: { type: 'adamw' },
    maxGradientNorm: 1,
    updateInBackward: 'none',
    precision: 'float32',
    recompute: 'none',
    keep: { last: 2 },
    onNonFinite: 'stop',
    onSpike: 'note',
  })
  expect(parse(JSON.parse(JSON.stringify(settings)))).toEqual(settings)
})

it('refuses what it does not know, and what means nothing', () => {
  expect(() => parse({ batch: { sequence: 4 } })).toThrow(/sequence/)
  expect(() => parse({ checkpoint: { step: 4 } })).toThrow(/steps/)
  for (const wrong of [
    { budget: { steps: 0 } },
    { budget: { epochs: -1 } },
    { batch: { microTokens: 0.5 } },
    { maxGradientNorm: -1 },
    { onNonFinite: 'hope' },
    { recompute: -1 },
    { seed: 0.5 },
  ])
    expect(() => parse(wrong), JSON.stringify(wrong)).toThrow()
})
