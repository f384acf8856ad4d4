// Vectors of texts: order, batches, models that cannot pack, and what is refused. Numbers of a real model are in tests/checkpoint.
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it, vi } from 'vitest'
import { loadTokenizer } from '../checkpoint/index.ts'
import { buildModel, type HeadType, type ModelDefinition, type ModelType, models } from '../models/index.ts'
import { defaultDevice, Generator, liveTensors } from '../tensor/index.ts'
import { countTokens, createTextEncoder } from '../tokenizers/index.ts'
import { embedTexts } from './embed-texts.ts'

// Tensors of earlier tests would otherwise be found unused in the middle of a count.
setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

const tokenizer = await loadTokenizer(
  fileURLToPath(new URL('../../tests/language-modelling/golden/bert', import.meta.url)),
)

const small = (type: ModelType, head: HeadType = 'embedding', headOptions = {}) => {
  const definition = models[type] as unknown as ModelDefinition
  const config = definition.adjust(definition.presets.test, { vocabSize: tokenizer.maxId + 1 })
  return buildModel(definition, config, head, headOptions)
    .initialize({ std: 0.3, generator: new Generator(4) })
    .to({ device: defaultDevice() })
}

const texts = [
  'one two three four five six seven eight nine ten eleven twelve',
  'a',
  'the sea and the ships',
  'the sea',
  'a much longer text about the sea, the ships on it and those who sail on them every day',
]

const apart = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0)

describe.each([['bert'], ['roberta'], ['gpt2'], ['llama'], ['t5']] as const)('of %s', (type) => {
  it.each(['first', 'last', 'mean'] as const)(
    'with pooling "%s" do not depend on batches or neighbours',
    async (pooling) => {
      const model = small(type, 'embedding', { pooling })
      const alone: number[] = []
      for (const text of texts) alone.push(...(await embedTexts(model, tokenizer, [text])).toFloat32Array())
      for (const batchTokens of [1, 12, 1000]) {
        const vectors = await embedTexts(model, tokenizer, texts, { batchTokens })
        expect(vectors.shape).toEqual([texts.length, 32])
        expect(apart(vectors.toFloat32Array(), Float32Array.from(alone))).toBeLessThan(1e-5)
      }
    },
  )
})

it('embedTexts gives equal texts one vector each, in one batch and in several', async () => {
  const model = small('bert')
  const twice = [texts[2], texts[1], texts[2]]
  for (const batchTokens of [1, 1000]) {
    const [first, other, again] = (await embedTexts(model, tokenizer, twice, { batchTokens })).toArray() as number[][]
    expect(again).toEqual(first)
    expect(other).not.toEqual(first)
  }
})

it('embedTexts reads the tokens that `encode` gives, special ones and truncation included', async () => {
  for (const text of [...texts, ' spaces  \t and Capitals ', 'é\u0301 漢字 [MASK] x', '\ud800'])
    for (const maxLength of [4, 9, 60]) {
      const { ids } = tokenizer.encode(text, { truncation: { maxLength } })
      expect(Array.from(createTextEncoder(tokenizer, maxLength)(text).ids)).toEqual(Array.from(ids))
      expect(countTokens(tokenizer, text)).toBe(tokenizer.encode(text).ids.length)
    }
})

it('embedTexts truncates texts to the limit of the model, or to `maxTokens`', async () => {
  const model = small('bert', 'embedding', { maxTokens: 6 })
  const long = texts[4]
  const [whole, cut] = [
    await embedTexts(model, tokenizer, [long], { maxTokens: 60 }),
    await embedTexts(model, tokenizer, [long]),
  ]
  expect(apart(whole.toFloat32Array(), cut.toFloat32Array())).toBeGreaterThan(1e-3)
  // Without a limit of its own, the position table is the limit: 64 of the preset.
  const endless = 'the sea '.repeat(500)
  expect((await embedTexts(small('bert'), tokenizer, [endless])).shape).toEqual([1, 32])
})

it('says how far it is, stops when told, frees what it made and leaves the mode as it was', async () => {
  const model = small('bert').train()
  const done: number[] = []
  // The first call prepares the weights for all later ones.
  ;(await embedTexts(model, tokenizer, texts)).free()
  collectGarbage()
  const before = liveTensors()
  const vectors = await embedTexts(model, tokenizer, texts, { batchTokens: 1, onProgress: (count) => done.push(count) })
  expect(done).toEqual([1, 2, 3, 4, 5])
  expect(liveTensors()).toBe(before + 1)
  vectors.free()
  expect(model.training).toBe(true)
  const stop = new AbortController()
  const stopped = embedTexts(model, tokenizer, texts, {
    batchTokens: 1,
    signal: stop.signal,
    onProgress: () => stop.abort(),
  })
  await expect(stopped).rejects.toThrow(/abort/)
  expect(model.training).toBe(true)
  expect(liveTensors()).toBe(before)
})

it('computes a long text of a decoder in parts of `batchTokens`, and stops between them', async () => {
  const model = small('llama')
  const [long] = texts
  // The first call prepares what later ones use.
  ;(await embedTexts(model, tokenizer, [long], { batchTokens: 5 })).free()
  collectGarbage()
  const before = liveTensors()
  const forward = vi.spyOn(model.body, 'forward')
  const parts = () => forward.mock.calls.map(([{ inputIds }]) => inputIds.shape[1])
  ;(await embedTexts(model, tokenizer, [long], { batchTokens: 5 })).free()
  expect(
    parts()
      .slice(0, -1)
      .every((length) => length === 5),
  ).toBe(true)
  expect(parts().reduce((sum, length) => sum + length, 0)).toBe(countTokens(tokenizer, long))
  const stop = new AbortController()
  const { forward: compute } = Object.getPrototypeOf(model.body) as typeof model.body
  forward.mockClear().mockImplementation((inputs) => {
    stop.abort()
    return compute.call(model.body, inputs)
  })
  const stopped = embedTexts(model, tokenizer, [long], { batchTokens: 5, signal: stop.signal })
  await expect(stopped).rejects.toThrow(/abort/)
  expect(parts()).toEqual([5])
  forward.mockRestore()
  expect(liveTensors()).toBe(before)
})

it('refuses other heads, settings that it does not know, and texts without tokens', async () => {
  await expect(embedTexts(small('bert', 'masked-lm'), tokenizer, texts)).rejects.toThrow(
    /an embedding head, got masked-lm/,
  )
  await expect(embedTexts(small('bert'), tokenizer, texts, { batchToken: 3 } as object)).rejects.toThrow(/batchTokens/)
  await expect(embedTexts(small('bert'), tokenizer, texts, { batchTokens: 0 })).rejects.toThrow(/batchTokens/)
  expect((await embedTexts(small('bert'), tokenizer, [])).shape).toEqual([0, 32])
  const bare = await loadTokenizer({ ...tokenizer.toJson(), post_processor: null })
  await expect(embedTexts(small('bert'), bare, ['a', ''])).rejects.toThrow(/`texts\[1\]`, got none/)
})
