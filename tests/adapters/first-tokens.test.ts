// Virtual tokens initialised with real tokens: a decoder then predicts what it predicts after those tokens. float32, no
// dropout.
import { describe, expect, it } from 'vitest'
import { type AdapterConfig, applyAdapter } from '../../src/adapters/index.ts'
import { buildModel, type HeadType, type ModelDefinition, type ModelType, models } from '../../src/models/index.ts'
import { Generator, noGrad, type Tensor, tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'

const make = (type: ModelType, head: HeadType = 'causal-lm') => {
  const definition = models[type] as ModelDefinition
  const config = definition.adjust(definition.presets.test, {})
  return buildModel(definition, config, head, { labels: ['a', 'b'], dropout: 0 })
    .initialize({ std: 0.2, generator: new Generator(1) })
    .to({ device: testDevice })
    .eval()
}
const long = (values: number[]) =>
  tensor(BigInt64Array.from(values, BigInt), { shape: [1, values.length], device: testDevice })
const values = (x: Tensor) => Array.from(x.flatten().toTypedArray() as Float32Array)
const expectClose = (got: Tensor, wanted: Tensor) => {
  const [a, b] = [values(got), values(wanted)]
  expect(a.length).toBe(b.length)
  for (const [i, value] of a.entries()) expect(Math.abs(value - b[i])).toBeLessThan(2e-5 * Math.max(1, Math.abs(b[i])))
}
/** Each letter is a token. */
const encode = (text: string) => Array.from(text, (letter) => 5 + letter.charCodeAt(0) - 97)
const text = [40, 41, 42, 43, 44]

describe.each(['gpt2', 'llama', 'mistral', 'qwen2', 'qwen3'] as const)('%s', (type) => {
  it.each(['prefix-tuning', 'prompt-tuning'] as const)(
    'says behind a fresh %s what it says behind its text',
    (method) => {
      const model = make(type)
      const wanted = noGrad(() => model.forward({ inputIds: long([...encode('abc'), ...text]) }).logits.narrow(1, 3, 5))
      const config: AdapterConfig = { type: method, virtualTokens: 3, initialText: 'abc' }
      const applied = applyAdapter(model, config, { encode })
      expectClose(
        noGrad(() => applied.model.forward({ inputIds: long(text) }).logits),
        wanted,
      )
    },
  )
})

it('an initial text is repeated if it is too short, and truncated if it is too long', () => {
  const start = (initialText: string) =>
    [
      ...applyAdapter(
        make('gpt2'),
        { type: 'prompt-tuning', virtualTokens: 5, initialText },
        { encode },
      ).trainable.values(),
    ][0]
  expect(values(start('ab'))).toEqual(values(start('ababa')))
  expect(values(start('abcdefg'))).toEqual(values(start('abcde')))
  expect(values(start('abcde'))).not.toEqual(values(start('abcdf')))
})

it('a prefix of an encoder starts at its own keys and values of the tokens', () => {
  const model = make('bert', 'sequence-classification')
  const { embedTokens, embedPositions, embedTypes, embeddingNorm, layers } = model.body as unknown as Record<
    string,
    never
  > & {
    layers: { attention: { kProj: { forward(x: Tensor): Tensor } } }[]
  }
  const forward = (module: unknown, input: Tensor) => (module as { forward(x: Tensor): Tensor }).forward(input)
  const first = noGrad(() => {
    const types = (embedTypes as { weight: Tensor }).weight.select(0, 0)
    const summed = forward(embedTokens, long(encode('abc')))
      .add(forward(embedPositions, long([0, 1, 2])))
      .add(types)
    return layers[0].attention.kProj.forward(forward(embeddingNorm, summed)).squeeze(0)
  })
  const config: AdapterConfig = { type: 'prefix-tuning', virtualTokens: 3, initialText: 'abc' }
  const [[, prefix]] = applyAdapter(model, config, { encode }).trainable
  expectClose(
    noGrad(() => prefix.detach().narrow(1, 0, first.shape[1])),
    first,
  )
})

it('a prefix of the decoder of an encoder-decoder starts at its own keys and values', () => {
  const model = make('t5', 'seq2seq-lm')
  const inputs = { inputIds: long(text), decoderInputIds: long([0, 7, 8]) }
  const logits = (init: 'tokens' | 'normal') => {
    const applied = applyAdapter(model, { type: 'prefix-tuning', virtualTokens: 4, init }, { name: init, seed: 3 })
    return values(noGrad(() => applied.model.forward(inputs).logits))
  }
  expect(logits('tokens')).not.toEqual(logits('normal'))
})

it('initialisation leaves the model in its mode, with no hook on its layers', () => {
  const model = make('gpt2').train()
  const before = [...model.modules()].length
  const applied = applyAdapter(model, { type: 'prefix-tuning', virtualTokens: 3 })
  expect(model.training).toBe(true)
  applied.remove()
  expect([...model.modules()].length).toBe(before)
})

it('initial tokens are equal for equal seeds, and others for others', () => {
  const start = (seed: number) => {
    const [[, prefix]] = applyAdapter(make('llama'), { type: 'prefix-tuning', virtualTokens: 6 }, { seed }).trainable
    return values(prefix.detach())
  }
  expect(start(1)).toEqual(start(1))
  expect(start(1)).not.toEqual(start(2))
})

it.each(['prefix-tuning', 'prompt-tuning'] as const)('%s trains the head at the rate of other methods', (type) => {
  const rates = (more: object) => {
    const applied = applyAdapter(make('bert', 'sequence-classification'), { type, ...more })
    const each = [...applied.trainable.keys()].map((path) => [
      path.startsWith('head.'),
      applied.learningRate * applied.learningRateScale(path),
    ])
    return {
      head: each.flatMap(([head, rate]) => (head ? [rate] : [])),
      rest: each.flatMap(([head, rate]) => (head ? [] : [rate])),
      own: applied.learningRate,
    }
  }
  const { head, rest, own } = rates({})
  expect(head.length).toBeGreaterThan(0)
  for (const rate of head) expect(rate).toBeCloseTo(1e-3, 9)
  expect(rest).toEqual([own])
  for (const rate of rates({ headRateRatio: 0.5 }).head) expect(rate).toBeCloseTo(own / 2, 9)
})

it.each([
  [{ type: 'prefix-tuning', initialText: 'abc' }, /`initialText` needs a tokenizer/, undefined],
  [{ type: 'prompt-tuning', initialText: 'abc' }, /`initialText` needs a tokenizer/, undefined],
  [{ type: 'prefix-tuning', initialText: ' ' }, /at least one token/, () => []],
  [{ type: 'prefix-tuning', initialText: 'abc', init: 'normal' }, /no `initialText`/, encode],
  [{ type: 'prefix-tuning', initialText: 'abc', projection: 8 }, /no `initialText`/, encode],
  [{ type: 'prefix-tuning', init: 'tokens', projection: 8 }, /no `projection`/, encode],
  [{ type: 'prefix-tuning', virtualTokens: 4000 }, /at most 63 `virtualTokens`/, encode],
  [{ type: 'prompt-tuning', virtualTokens: 4000 }, /at most 63 `virtualTokens`/, encode],
] as const)('refuses %j', (config, message, how) => {
  expect(() => applyAdapter(make('gpt2'), config, { encode: how })).toThrow(message)
})
