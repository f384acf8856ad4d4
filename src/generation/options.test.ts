// Generation options: unknown names, options without effect, and generation_config.json.
import { describe, expect, it } from 'vitest'
import { type GenerationOptions, generationFromHf, generationToHf, parseGeneration, withDefaults } from './options.ts'

describe('parseGeneration', () => {
  it('fills in defaults', () => {
    expect(parseGeneration()).toMatchObject({ maxNewTokens: 128, sample: false, numBeams: 1, stop: [] })
    expect(parseGeneration({ eosTokenIds: 3, stop: 'x' })).toMatchObject({ eosTokenIds: [3], stop: ['x'] })
  })

  it('takes a temperature of 0 as greedy decoding', () => {
    const greedy = parseGeneration({ sample: false })
    expect(parseGeneration({ temperature: 0 })).toEqual(greedy)
    expect(parseGeneration({ temperature: 0, sample: true })).toEqual(greedy)
    expect(parseGeneration({ temperature: 0, numBeams: 2 })).toEqual(parseGeneration({ numBeams: 2 }))
  })

  it.each([
    [{ maxNewToken: 3 }, /did you mean|maxNewTokens/i],
    [{ maxNewTokens: 0 }, /maxNewTokens/],
    [{ temperature: -1, sample: true }, /temperature/],
    [{ temperature: 0, topP: 0.9 }, /`topP` has no effect with a `temperature` of 0/],
    [{ temperature: 0, sample: true, topK: 5, seed: 1 }, /`topK` has no effect.*\n.*`seed` has no effect/],
    [{ temperature: 0, sample: true, numReturnSequences: 2 }, /Raise `temperature` above 0/],
    [{ topP: 1.5, sample: true }, /topP/],
    [{ temperature: 0.7 }, /no effect without `sample`/],
    [{ seed: 1 }, /no effect without `sample`/],
    [{ lengthPenalty: 2 }, /numBeams/],
    [{ sample: true, numBeams: 2 }, /Choose one/],
    [{ numReturnSequences: 2 }, /numReturnSequences/],
    [{ numBeams: 2, numReturnSequences: 3 }, /numReturnSequences/],
    [{ minNewTokens: 5, maxNewTokens: 4 }, /minNewTokens/],
    [{ stop: '' }, /stop/],
  ])('refuses %j', (options, message) => {
    expect(() => parseGeneration(options as GenerationOptions)).toThrow(message)
  })
})

describe('generation_config.json', () => {
  it('is read without options that have no effect', () => {
    const fields = {
      do_sample: true,
      temperature: 0.6,
      top_p: 0.9,
      eos_token_id: [1, 2],
      transformers_version: '5',
      top_k: null,
    }
    const options = generationFromHf(fields)
    expect(options).toEqual({ sample: true, temperature: 0.6, topP: 0.9, eosTokenIds: [1, 2] })
    expect(generationToHf(options)).toEqual({ do_sample: true, temperature: 0.6, top_p: 0.9, eos_token_id: [1, 2] })
    expect(generationFromHf({ temperature: 0.6, top_p: 0.9, num_beams: 1, length_penalty: 2 })).toEqual({ numBeams: 1 })
    expect(generationFromHf({ do_sample: true, temperature: 0 })).toEqual({ sample: false })
    expect(() => generationFromHf({ top_p: 'much', do_sample: true })).toThrow(/topP/)
  })

  it('gives defaults that a caller can override', () => {
    const defaults = generationFromHf({ do_sample: true, temperature: 0.6, eos_token_id: 2 })
    expect(withDefaults(defaults, { sample: false })).toEqual({ sample: false, eosTokenIds: 2 })
    // A caller who wants few tokens need not know how many the model's files want at least.
    const atLeast = { minNewTokens: 30, maxNewTokens: 90 }
    expect(withDefaults(atLeast, { maxNewTokens: 8 })).toEqual({ maxNewTokens: 8 })
    expect(withDefaults(atLeast, { maxNewTokens: 40 })).toEqual({ minNewTokens: 30, maxNewTokens: 40 })
    expect(withDefaults(defaults, { temperature: 1.1 })).toMatchObject({ sample: true, temperature: 1.1 })
    expect(() => parseGeneration(withDefaults(defaults, { sample: false, topK: 5 }))).toThrow(/topK/)
    // A model that recommends nucleus sampling decodes greedily at the caller's temperature of 0.
    const nucleus = generationFromHf({ do_sample: true, top_p: 0.9, top_k: 20 })
    expect(parseGeneration(withDefaults(nucleus, { temperature: 0 }))).toEqual(parseGeneration())
    expect(() => parseGeneration(withDefaults(nucleus, { temperature: 0, topP: 0.5 }))).toThrow(/topP/)
  })

  it('gives defaults that an explicit undefined keeps', () => {
    const defaults = generationFromHf({ do_sample: true, top_k: 1, max_new_tokens: 5 })
    expect(withDefaults(defaults, { topK: undefined })).toEqual(defaults)
    expect(withDefaults(defaults, { maxNewTokens: undefined })).toEqual(defaults)
  })
})
