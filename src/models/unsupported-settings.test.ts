import { describe, expect, it } from 'vitest'
import { ConfigError } from '../core/index.ts'
import { models } from './index.ts'

describe('fromHf', () => {
  it.each(['bert', 'roberta', 'electra'] as const)('refuses %s as a decoder, by the name of the field', (type) => {
    const definition = models[type]
    expect(definition.fromHf({ model_type: type, is_decoder: false }).hiddenSize).toBeGreaterThan(0)
    expect(() => definition.fromHf({ model_type: type, is_decoder: true })).toThrow(ConfigError)
    expect(() => definition.fromHf({ model_type: type, is_decoder: true })).toThrow(
      `Expected false for \`is_decoder\` in config.json, got true. ${type} is supported as an encoder only`,
    )
    expect(() => definition.fromHf({ model_type: type, add_cross_attention: true })).toThrow(/`add_cross_attention`/)
  })

  it('refuses a Qwen whose list of layer types has another length or an unknown type', () => {
    const layers = (layer_types: string[]) => models.qwen2.fromHf({ num_hidden_layers: 2, layer_types })
    expect(() => models.qwen2.build(layers(['full_attention']))).toThrow(/Expected 2 entries for `layer_types`/)
    expect(() => layers(['full_attention', 'linear_attention'])).toThrow(/layer_types in config.json/)
  })
})

describe('toHf', () => {
  it('writes the sliding window of a Qwen as it was read', () => {
    const fields = { use_sliding_window: true, sliding_window: 8, max_window_layers: 1 }
    expect(models.qwen3.toHf(models.qwen3.fromHf(fields))).toMatchObject(fields)
  })
})
