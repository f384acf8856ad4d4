// Decoding with graphs of a device, on the strict one: the same texts, bit for bit, as without graphs, and those of the CPU; what cannot be
// recorded goes on without.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildModel, type Model, models } from '../models/index.ts'
import {
  deviceMemory,
  enableStrictDevice,
  Generator,
  liveTensors,
  noGrad,
  type StrictDeviceCounts,
  setStrictMemory,
  strictDeviceCounts,
} from '../tensor/index.ts'
import { type GenerationOptions, GenerationScheduler, type SchedulerOptions } from './index.ts'

enableStrictDevice()
const device = 'strict'

const build = (type: 'gpt2' | 'llama' | 'mistral' | 'gemma2' | 'mixtral', more: object = {}): Model => {
  const definition = models[type] as never as (typeof models)['gpt2']
  const config = definition.config.parse({ ...definition.presets.test, vocabSize: 256, maxPositions: 512, ...more })
  return buildModel(definition as never, config, 'causal-lm').initialize({ std: 0.4, generator: new Generator(5) })
}

/** Prompts of uneven lengths. */
const promptOf = (i: number, length = 1 + ((5 * i) % 13)): number[] =>
  Array.from({ length }, (_, t) => 3 + ((31 * i + 7 * t) % 200))

interface Asked {
  prompt: number[]
  options: GenerationOptions
}

const greedy = (count: number, maxNewTokens = 12): Asked[] =>
  Array.from({ length: count }, (_, i) => ({ prompt: promptOf(i), options: { maxNewTokens, eosTokenIds: [] } }))

/** Of different lengths, so that rows end and others take their places. */
const mixed = (count: number): Asked[] =>
  Array.from({ length: count }, (_, i) => ({
    prompt: promptOf(i),
    options: {
      maxNewTokens: 6 + ((i * 5) % 17),
      eosTokenIds: [],
      ...(i % 3 === 1 ? { sample: true, seed: 70 + i, temperature: 0.8 + i / 10 } : {}),
      ...(i % 3 === 2 ? { sample: true, seed: i, topK: 9, topP: 0.9, repetitionPenalty: 1.2 } : {}),
    },
  }))

const counts = () => strictDeviceCounts() as StrictDeviceCounts

/** Texts with the log-probabilities of their tokens, which show differences that no choice of a token does. */
const textsOf = async (model: Model, asked: readonly Asked[], options: SchedulerOptions = {}) => {
  const scheduler = new GenerationScheduler(model, options)
  const before = counts()
  const handles = asked.map((one) => scheduler.submit({ ...one, logProbs: 'raw' }))
  const results = await Promise.all(handles.map(({ result }) => result))
  scheduler.free()
  const after = counts()
  return {
    texts: results.map(({ ids, logProbs }) => ({ ids, logProbs })),
    captures: after.captures - before.captures,
    replays: after.replays - before.replays,
  }
}

const warnings: string[] = []
const onWarning = (warning: Error) => warnings.push(warning.message)
beforeEach(() => {
  warnings.length = 0
  process.on('warning', onWarning)
})
afterEach(() => {
  process.off('warning', onWarning)
  setStrictMemory(undefined)
})

describe.each(['gpt2', 'llama', 'mistral', 'gemma2'] as const)('%s', (type) => {
  const model = build(type)
  const there = build(type).to({ device })

  it.each([
    ['of one row, greedily', greedy(1), { maxRows: 1 }],
    ['of eight rows, greedily', greedy(8), { maxRows: 8 }],
    ['of one row, with filters', [mixed(3)[2]], { maxRows: 1 }],
    ['of rows that end and are replaced, by sampling', mixed(13), { maxRows: 5 }],
  ])('texts %s are those without graphs, and those of the CPU', async (_, asked, options) => {
    const without = await textsOf(there, asked, { ...options, graphs: false })
    const recorded = await textsOf(there, asked, options)
    expect(recorded.texts).toEqual(without.texts)
    expect(without.captures).toBe(0)
    expect(recorded.captures).toBeGreaterThan(0)
    expect(recorded.replays).toBeGreaterThan(recorded.captures)
    const here = await textsOf(model, asked, options)
    expect(recorded.texts.map(({ ids }) => ids)).toEqual(here.texts.map(({ ids }) => ids))
    expect(warnings).toEqual([])
  })
})

describe('a graph is recorded anew', () => {
  const there = build('llama').to({ device })

  it('when the cache grows, and for more keys', async () => {
    // The first text reserves the cache for itself; the second one is longer.
    const asked = [
      { prompt: promptOf(1, 5), options: { maxNewTokens: 20, eosTokenIds: [] } },
      { prompt: promptOf(2, 90), options: { maxNewTokens: 60, eosTokenIds: [] } },
    ]
    const without = await textsOf(there, asked, { maxRows: 2, graphs: false })
    const recorded = await textsOf(there, asked, { maxRows: 2 })
    expect(recorded.texts).toEqual(without.texts)
    expect(recorded.captures).toBeGreaterThanOrEqual(2)
  })

  it('when weights change, which have a version', async () => {
    let version = 0
    const model = build('llama').to({ device })
    const [one] = greedy(1, 30)
    const { captures } = counts()
    const scheduler = new GenerationScheduler(model, { version: () => version })
    const first = scheduler.submit(one)
    let seen = 0
    for await (const _ of first) {
      if (++seen !== 10) continue
      noGrad(() => {
        for (const parameter of model.parameters().values()) parameter.mul_(0.9)
      })
      version++
    }
    const { ids } = await first.result
    scheduler.free()
    expect(ids).toHaveLength(30)
    // Of one row and up to 64 keys, with each version.
    expect(counts().captures - captures).toBe(2)
  })

  it('after memory did not suffice', async () => {
    const model = build('llama', { hiddenSize: 256, numKvHeads: 4, headDim: 64 }).to({ device })
    const asked = greedy(8, 30)
    const wanted = await textsOf(model, asked, { maxRows: 8 })
    setStrictMemory((deviceMemory(device)?.inUse as number) + 1_500_000)
    const { emptied } = counts()
    const limited = await textsOf(model, asked, { maxRows: 8 })
    expect(counts().emptied).toBeGreaterThan(emptied)
    expect(limited.texts.map(({ ids }) => ids)).toEqual(wanted.texts.map(({ ids }) => ids))
  })
})

it('a model whose steps wait for the device is decoded without graphs, and says so once', async () => {
  const there = build('mixtral').to({ device })
  const asked = mixed(5)
  const without = await textsOf(there, asked, { maxRows: 2, graphs: false })
  expect(warnings).toEqual([])
  const { texts, replays } = await textsOf(there, asked, { maxRows: 2 })
  expect(texts).toEqual(without.texts)
  expect(replays).toBe(0)
  expect(warnings).toHaveLength(1)
  expect(warnings[0]).toMatch(
    /^Decoding continues without a graph of its steps: .*Expected no wait for the device in the capture of a graph/,
  )
})

it('rope scaling by the length of the input is decoded without graphs', async () => {
  const scaling = { ropeScaling: { kind: 'dynamic', factor: 2, originalPositions: 16 } }
  const asked = greedy(2, 30)
  const recorded = await textsOf(build('llama', scaling).to({ device }), asked)
  const here = await textsOf(build('llama', scaling), asked)
  expect(recorded.texts.map(({ ids }) => ids)).toEqual(here.texts.map(({ ids }) => ids))
  expect(recorded.replays).toBe(0)
  expect(warnings[0]).toContain('angles that do not depend on the length')
})

it('leaves no tensors', async () => {
  const there = build('llama').to({ device })
  await textsOf(there, greedy(3))
  const live = liveTensors()
  await textsOf(there, greedy(3))
  expect(liveTensors() - live).toBeLessThan(3)
})
