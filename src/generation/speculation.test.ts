// Proposed tokens change no text: greedy and sampled ones equal those of the same scheduler without proposals, in any company, and sampled
// tokens have the distribution of the model.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildModel, type Model, models } from '../models/index.ts'
import { defaultDevice, Generator, isBatchInvariant, liveTensors, setBatchInvariant } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { DecodingBatch, type LanguageModel } from './decoding-batch.ts'
import {
  type GenerationOptions,
  GenerationScheduler,
  generateMany,
  type LogitsProcessor,
  type SchedulerOptions,
} from './index.ts'
import { lookUp } from './speculation.ts'

const before = isBatchInvariant()
// A forward pass over several tokens then has the bits of one after the other.
beforeAll(() => setBatchInvariant(true))
afterAll(() => setBatchInvariant(before))

/** One token a byte. */
const tokenizer = {
  special: { additional: [] },
  encode: (text: string) => ({ ids: [...Buffer.from(text)] }),
  decode: (ids: ArrayLike<number>) => Buffer.from(Uint8Array.from(ids)).toString('latin1'),
} as unknown as Tokenizer

const build = (type: 'gpt2' | 'llama' | 'mistral' | 't5', seed: number, std = 0.4, more: object = {}): Model => {
  const definition = models[type] as never as (typeof models)['gpt2']
  const config = definition.config.parse({ ...definition.presets.test, vocabSize: 256, ...more })
  const head = type === 't5' ? 'seq2seq-lm' : 'causal-lm'
  return buildModel(definition as never, config, head)
    .initialize({ std, generator: new Generator(seed) })
    .to({ device: defaultDevice() })
}

const prompts = ['abcabcabcabc', 'a long prompt that fills much, a long prompt']

const requests = prompts.flatMap((prompt, i): { prompt: string; options: GenerationOptions }[] => [
  { prompt, options: { maxNewTokens: 12 + i } },
  { prompt, options: { maxNewTokens: 20, sample: true, seed: i, temperature: 0.3 } },
  { prompt, options: { maxNewTokens: 9, sample: true, seed: i, topP: 0.8, repetitionPenalty: 1.2 } },
  { prompt, options: { maxNewTokens: 20, stop: ['e', 'aa'], numReturnSequences: 2, sample: true, seed: 1 } },
])

type Results = Awaited<ReturnType<typeof textsOf>>['results']

/** To the bit on the CPU; other devices have the same texts, with log-probabilities that rounding moves. */
const expectSame = (got: Results, wanted: Results) => {
  const moved = defaultDevice() !== 'cpu'
  const without = (results: Results) => results.map((result) => (moved ? { ...result, logProbs: undefined } : result))
  expect(without(got)).toEqual(without(wanted))
  for (const [i, { logProbs = [] }] of got.entries())
    for (const [t, value] of logProbs.entries()) expect(value).toBeCloseTo(wanted[i].logProbs![t], 4)
}

const textsOf = async (model: Model, options: SchedulerOptions) => {
  const scheduler = new GenerationScheduler(model, { tokenizer, ...options })
  const handles = requests.flatMap((request) => scheduler.submitGroup({ ...request, logProbs: 'raw' }))
  const results = await Promise.all(handles.map(({ result }) => result))
  const { speculated } = scheduler
  scheduler.free()
  return { results, speculated: { ...speculated } }
}

describe.each(['gpt2', 'llama', 'mistral'] as const)('texts of %s', (type) => {
  const model = build(type, 5)
  const draft = build(type, 6)

  it.each([1, 4, 10])('are the same with proposals, %i at a time', async (maxRows) => {
    const { results: wanted } = await textsOf(model, { maxRows })
    const lookup = await textsOf(model, { maxRows, speculation: {} })
    expectSame(lookup.results, wanted)
    const other = await textsOf(model, { maxRows, speculation: { draft, maxDraftTokens: 3 }, prefixCacheBytes: 1e6 })
    expectSame(other.results, wanted)
    // With as many texts as rows, nothing is proposed.
    if (maxRows < 10) expect(other.speculated.proposed).toBeGreaterThan(0)
  })

  it('take over what repeats, in far fewer steps', async () => {
    const scheduler = new GenerationScheduler(model, { tokenizer, speculation: {} })
    // After a comes b, and so on to e and a again.
    const cycle: LogitsProcessor = (scores, { ids }) => void (scores[97 + ((ids[ids.length - 1] - 96) % 5)] += 1000)
    const handle = scheduler.submit({ prompt: 'a', options: { maxNewTokens: 60 }, processors: [cycle] })
    expect((await handle.result).text).toBe('bcdea'.repeat(12))
    expect(scheduler.speculated.accepted).toBeGreaterThan(40)
    scheduler.free()
  })

  it('have every token that the model itself proposes by temperature', async () => {
    const scheduler = new GenerationScheduler(model, { tokenizer, speculation: { draft: model, maxDraftTokens: 4 } })
    const handle = scheduler.submit({ prompt: 'abc', options: { maxNewTokens: 31, sample: true, seed: 3 } })
    await handle.result
    const { proposed, accepted } = scheduler.speculated
    expect([accepted, proposed]).toEqual([proposed, proposed])
    expect(proposed).toBeGreaterThanOrEqual(20)
    scheduler.free()
  })
})

it('a text that was sampled with a draft has the distribution of the model', async () => {
  const [model, draft] = [5, 6].map((seed) => build('llama', seed, 0.3, { vocabSize: 8 }))
  const softmax = (rows: Float32Array[]) =>
    rows.map((row) => {
      const weights = [...row].map(Math.exp)
      const sum = weights.reduce((total, weight) => total + weight, 0)
      return weights.map((weight) => weight / sum)
    })
  const logits = (given: number[][]) => {
    const options = { maxNewTokens: 1, useCache: false, decoderStartTokenId: undefined, padTokenId: 0 }
    const batch = new DecodingBatch(model as LanguageModel, given, options)
    const tensor = batch.nextLogits()
    const all = tensor.toFloat32Array()
    batch.free()
    return given.map((_, row) => all.subarray(row * 8, (row + 1) * 8))
  }
  const tokens = Array.from({ length: 8 }, (_, id) => id)
  const [first] = softmax(logits([[1, 2]]))
  const second = softmax(logits(tokens.map((id) => [1, 2, id])))
  const scheduler = new GenerationScheduler(model, { maxRows: 64, speculation: { draft, maxDraftTokens: 2 } })
  const count = 960
  const seen = new Map<string, number>()
  for (let seed = 0; seed < count; ) {
    const options = { maxNewTokens: 3, sample: true }
    const handles = Array.from({ length: 16 }, () =>
      scheduler.submit({ prompt: [1, 2], options: { ...options, seed: seed++ } }),
    )
    for (const { result } of handles) {
      const key = (await result).ids.slice(0, 2).join()
      seen.set(key, (seen.get(key) ?? 0) + 1)
    }
  }
  scheduler.free()
  // Pearson's statistic over the 64 pairs has mean 63 and deviation 11.2 under the model's distribution.
  let statistic = 0
  for (const a of tokens)
    for (const b of tokens) {
      const expected = count * first[a] * second[a][b]
      statistic += ((seen.get(`${a},${b}`) ?? 0) - expected) ** 2 / expected
    }
  expect(statistic).toBeLessThan(63 + 5 * 11.2)
  expect(scheduler.speculated.accepted).toBeGreaterThan(100)
})

it('a text that is cancelled or freed leaves no tensor', async () => {
  const model = build('llama', 5)
  const draft = build('llama', 6)
  const run = async () => {
    const scheduler = new GenerationScheduler(model, { tokenizer, speculation: { draft }, prefixCacheBytes: 1e6 })
    const handles = requests.slice(0, 6).flatMap((request) => scheduler.submitGroup(request))
    for await (const _ of handles[0]) break
    handles[1].cancel()
    await scheduler.idle()
    scheduler.free()
  }
  await run()
  const live = liveTensors()
  await run()
  expect(liveTensors()).toBe(live)
})

it('`generateMany` has the same texts', async () => {
  const model = build('gpt2', 5)
  const options = { maxNewTokens: 15 }
  const wanted = await generateMany(model, tokenizer, prompts, options)
  expect(await generateMany(model, tokenizer, prompts, options, { speculation: {} })).toEqual(wanted)
  await expect(generateMany(model, tokenizer, prompts, { numBeams: 2 }, { speculation: {} })).rejects.toThrow(/beams/)
})

it('settings that cannot work are refused', () => {
  const model = build('gpt2', 5)
  const make = (given: Model, speculation: SchedulerOptions['speculation']) => () =>
    new GenerationScheduler(given, { speculation })
  expect(make(build('t5', 1), {})).toThrow(/needs a decoder/)
  expect(make(model, { draft: build('t5', 1) })).toThrow(/Expected a decoder/)
  expect(make(model, { maxDraftTokens: 0 })).toThrow(/above 0/)
})

it('tokens are looked up where the same ones occurred last', () => {
  expect(lookUp([1, 2, 3, 9, 1, 2, 3, 8, 5, 1, 2, 3], 2)).toEqual([8, 5])
  expect(lookUp([7, 2, 3, 9, 1, 2, 3], 5)).toEqual([9, 1, 2, 3])
  expect(lookUp([4, 4, 4, 4], 3)).toEqual([4])
  expect(lookUp([1, 2, 3], 3)).toEqual([])
})
