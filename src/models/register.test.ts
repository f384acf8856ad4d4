import { describe, expect, it } from 'vitest'
import { buildModel, defineModel, type ModelDefinition, models, registerModel } from './index.ts'

describe('an architecture of another package', () => {
  const { bert } = models
  const another = defineModel({
    ...bert,
    type: 'test-another-bert',
    hfFields: { vocabSize: 'vocab_size', hiddenSize: 'hidden_size' },
  })

  it('is in the registry once it is registered, and is built as any other', () => {
    registerModel(another)
    const registered = (models as Record<string, unknown>)['test-another-bert'] as ModelDefinition
    const config = registered.fromHf({ vocab_size: 64, hidden_size: 24 })
    expect(config).toMatchObject({ vocabSize: 64, hiddenSize: 24 })
    expect(registered.toHf(config)).toEqual({ model_type: 'test-another-bert', vocab_size: 64, hidden_size: 24 })
    expect(buildModel(registered, registered.adjust(registered.presets.test, {}), 'masked-lm').parameterCount).toBe(
      buildModel(bert, bert.adjust(bert.presets.test, {}), 'masked-lm').parameterCount,
    )
  })

  it('cannot take the name of another architecture', () => {
    expect(() => registerModel({ ...another, type: 'llama' })).toThrow(/`llama`, which is registered/)
  })
})
