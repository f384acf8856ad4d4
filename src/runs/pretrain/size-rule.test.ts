import { expect, it } from 'vitest'
import { parseConfig } from '../../core/index.ts'
import { models } from '../../models/index.ts'
import { applyDepth, pretrainSchema, sizeRule } from './recipe.ts'

it('follows its sources', () => {
  // 12 layers of 768: GPT-3 small's learning rate; 85 million parameters in the layers, 20 tokens for each.
  expect(sizeRule(12)).toEqual({
    hiddenSize: 768,
    numHeads: 12,
    learningRate: 6e-4,
    batchTokens: 524_288,
    budgetTokens: 20 * 12 * 12 * 768 ** 2,
  })
  expect(sizeRule(1)).toMatchObject({ learningRate: 3e-3, batchTokens: 4096 })
  const depths = Array.from({ length: 128 }, (_, i) => sizeRule(i + 1))
  for (const [i, rule] of depths.entries()) {
    const before = depths[i - 1] ?? rule
    expect(rule.learningRate).toBeLessThanOrEqual(before.learningRate)
    expect(rule.batchTokens).toBeGreaterThanOrEqual(before.batchTokens)
    expect(Math.log2(rule.batchTokens) % 1).toBe(0)
    expect(rule.hiddenSize % rule.numHeads).toBe(0)
  }
})

it('gives way to what the recipe says', () => {
  const recipe = (more: object) =>
    parseConfig(
      pretrainSchema,
      { objective: { type: 'causal-lm' }, data: 'd', tokenizer: 't', out: 'o', ...more },
      'pretrain',
    )
  const ruled = applyDepth(recipe({ model: { type: 'gpt2', depth: 2 } }))
  expect(ruled).toMatchObject({
    model: { config: { numLayers: 2, hiddenSize: 128, numHeads: 2, intermediateSize: 512 } },
    batch: { tokens: sizeRule(2).batchTokens },
    budget: { tokens: sizeRule(2).budgetTokens },
    learningRate: sizeRule(2).learningRate,
  })
  const own = applyDepth(
    recipe({
      model: { type: 'gpt2', depth: 2, config: { hiddenSize: 64 } },
      batch: { sequences: 3 },
      budget: { steps: 7 },
      learningRate: 1e-4,
    }),
  )
  expect(own).toMatchObject({ model: { config: { hiddenSize: 64, numLayers: 2 } }, learningRate: 1e-4 })
  expect(own.batch).toMatchObject({ sequences: 3 })
  expect(own.batch.tokens).toBeUndefined()
  expect(own.budget).toEqual({ steps: 7 })
  const without = recipe({ model: { type: 'gpt2' } })
  expect(applyDepth(without)).toBe(without)
})

it('gives every architecture heads that fit its width', () => {
  for (const [type, definition] of Object.entries(models))
    for (const preset of [undefined, ...Object.keys(definition.presets)]) {
      const input = {
        model: { type, preset, depth: 3 },
        objective: { type: 'causal-lm' },
        data: 'd',
        tokenizer: 't',
        out: 'o',
      }
      const { model } = applyDepth(parseConfig(pretrainSchema, input, 'pretrain'))
      const sizes = preset === undefined ? {} : definition.presets[preset]
      const config = definition.adjust(sizes, model.config ?? {}) as Record<string, unknown>
      expect(config, type).toMatchObject({ hiddenSize: 192, numHeads: 3 })
      expect([undefined, 3], type).toContain(config.numKvHeads)
      expect([undefined, 64], type).toContain(config.headDim)
    }
})
