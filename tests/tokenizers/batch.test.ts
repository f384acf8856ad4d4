// Batches of texts as tensors. The numbers are those that transformers 5.24 gives for the same vocabularies, with `padding=True`.
import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { loadTokenizer } from '../../src/checkpoint/index.ts'
import { buildModel, type ModelDefinition, type ModelType, models } from '../../src/models/index.ts'
import { Generator, inferenceMode } from '../../src/tensor/index.ts'
import { DATA } from './rust-oracle.ts'

const bert = new URL('vocab/bert_base_uncased_vocab.txt', DATA).pathname
const gpt2 = new URL('vocab/gpt2/encoder.json', DATA).pathname
const texts = ['Hello world', 'The quick brown fox jumps.']

describe.skipIf(!existsSync(bert))('a batch (skipped without ../shared/data)', () => {
  it('has ids and a mask, padded to the longest text', async () => {
    const tokenizer = await loadTokenizer(bert)
    const { inputIds, attentionMask, ...more } = tokenizer.batch(texts)
    expect(inputIds.dtype).toBe('int64')
    expect(inputIds.toArray()).toEqual([
      [101, 7592, 2088, 102, 0, 0, 0, 0],
      [101, 1996, 4248, 2829, 4419, 14523, 1012, 102],
    ])
    expect(attentionMask.toArray()).toEqual([
      [1, 1, 1, 1, 0, 0, 0, 0],
      [1, 1, 1, 1, 1, 1, 1, 1],
    ])
    expect(more).toEqual({})
  })

  it('of pairs has segments', async () => {
    const { inputIds, typeIds, attentionMask } = (await loadTokenizer(bert)).batch([
      ['Is it raining?', 'It is.'],
      ['Yes', 'No'],
    ])
    expect(inputIds.toArray()).toEqual([
      [101, 2003, 2009, 24057, 1029, 102, 2009, 2003, 1012, 102],
      [101, 2748, 102, 2053, 102, 0, 0, 0, 0, 0],
    ])
    expect(typeIds?.toArray()).toEqual([
      [0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
      [0, 0, 0, 1, 1, 0, 0, 0, 0, 0],
    ])
    expect(attentionMask.sum(1).toArray()).toEqual([10, 5])
  })

  it('is truncated where that is asked for', async () => {
    const { inputIds } = (await loadTokenizer(bert)).batch([texts[1], 'Hello'], { truncation: { maxLength: 5 } })
    expect(inputIds.toArray()).toEqual([
      [101, 1996, 4248, 2829, 102],
      [101, 7592, 102, 0, 0],
    ])
  })

  it('is padded on the left where that is asked for, with positions from the first token', async () => {
    const padding = { side: 'left', id: 50256, multipleOf: 4 } as const
    const { inputIds, attentionMask, positionIds } = (await loadTokenizer(gpt2)).batch(texts, { padding })
    expect(inputIds.toArray()).toEqual([
      [50256, 50256, 50256, 50256, 50256, 50256, 15496, 995],
      [50256, 50256, 464, 2068, 7586, 21831, 18045, 13],
    ])
    expect(attentionMask.sum(1).toArray()).toEqual([2, 6])
    expect(positionIds?.toArray()).toEqual([
      [0, 0, 0, 0, 0, 0, 0, 1],
      [0, 0, 0, 1, 2, 3, 4, 5],
    ])
  })

  it.each<[ModelType, string, 'left' | 'right']>([
    ['bert', bert, 'right'],
    ['gpt2', gpt2, 'right'],
    ['gpt2', gpt2, 'left'],
  ])('goes into %s as it is, and each row has the values of the text alone', async (type, path, side) => {
    const tokenizer = await loadTokenizer(path)
    const definition: ModelDefinition = models[type] as never
    const config = definition.adjust(definition.presets.test, { vocabSize: tokenizer.maxId + 1 })
    const model = buildModel(definition, config, 'embedding').initialize({ std: 0.1, generator: new Generator(1) })
    model.eval()
    const difference = inferenceMode(() => {
      const { hidden } = model.bodyForward(tokenizer.batch(texts, { padding: { side } }))
      const alone = model.bodyForward(tokenizer.batch([texts[0]])).hidden
      const from = side === 'left' ? hidden.shape[1] - alone.shape[1] : 0
      return hidden.narrow(0, 0, 1).narrow(1, from, alone.shape[1]).sub(alone).abs().max().item()
    })
    expect(difference).toBeLessThan(1e-5)
  })

  it('without texts, or with a text that has no tokens, is refused', async () => {
    const tokenizer = await loadTokenizer(gpt2)
    expect(() => tokenizer.batch([])).toThrow('`batch` needs at least one text')
    expect(() => tokenizer.batch(['a', ''])).toThrow('Expected texts with tokens for `batch`, got "" at index 1.')
  })
})
