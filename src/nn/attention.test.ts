import { expect, it } from 'vitest'
import { Attention } from './attention.ts'

it('refuses heads that do not fit, before any step', () => {
  expect(() => new Attention({ hidden: 100, heads: 3 })).toThrow(
    'Expected a width that is a multiple of the attention heads, got a width of 100 and 3 heads. Change `hiddenSize` or `numHeads`.',
  )
  expect(() => new Attention({ hidden: 96, heads: 3, kvHeads: 2 })).toThrow(
    'Expected attention heads that are a multiple of the key and value heads, got 3 and 2. Change `numHeads` or `numKvHeads`.',
  )
  expect(new Attention({ hidden: 100, heads: 3, kvHeads: 3, headDim: 8 }).qProj.shape).toEqual([24, 100])
})
