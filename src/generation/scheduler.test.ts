// The scheduler with tiny random models: its texts equal those of `generate`, which computes a static batch and is tested
// against transformers in tests/parity/generation. Requests come, end, fail and are cancelled at any time.
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createRandom } from '../core/index.ts'
import { buildModel, type Model, models } from '../models/index.ts'
import {
  defaultDevice,
  emptyCache,
  Generator,
  liveTensors,
  memoryStatistics,
  noGrad,
  scope,
  setMemoryLimit,
  Tensor,
} from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { type GenerationHandle, type GenerationOptions, GenerationScheduler, generate } from './index.ts'

/** One token a byte. */
const tokenizer = {
  special: { additional: [] },
  encode: (text: string) => ({ ids: [...Buffer.from(text)] }),
  decode: (ids: ArrayLike<number>) => Buffer.from(Uint8Array.from(ids)).toString('latin1'),
} as unknown as Tokenizer

const build = (type: 'gpt2' | 'llama' | 'mistral' | 'qwen3' | 't5', more: object = {}): Model => {
  const definition = models[type] as never as (typeof models)['gpt2']
  const config = definition.config.parse({ ...definition.presets.test, vocabSize: 256, ...more })
  const head = type === 't5' ? 'seq2seq-lm' : 'causal-lm'
  return buildModel(definition as never, config, head)
    .initialize({ std: 0.4, generator: new Generator(5) })
    .to({ device: defaultDevice() })
}

const prompts = ['a', 'a long prompt that fills much', 'bc', 'of middle length', 'the last', 'x', 'yet another one']

/** Requests with different settings. */
const requests: { prompt: string; options: GenerationOptions }[] = prompts.map((prompt, i) => ({
  prompt,
  options: {
    maxNewTokens: 4 + ((i * 5) % 9),
    ...(i % 3 === 1 ? { sample: true, seed: 70 + i, temperature: 0.8 + i / 10 } : {}),
    ...(i % 3 === 2 ? { repetitionPenalty: 1.3, noRepeatNgramSize: 2 } : {}),
  },
}))

const alone = async (model: Model, { prompt, options }: { prompt: string; options: GenerationOptions }) => {
  const [{ ids, text, finishReason }] = await generate(model, tokenizer, [prompt], options)
  return { ids, text, finishReason }
}

describe.each(['gpt2', 'llama', 'mistral', 'qwen3', 't5'] as const)('a scheduler for %s', (type) => {
  const model = build(type)

  it.each([{ maxRows: 1 }, { maxRows: 3 }, { maxRows: 16 }, { maxRows: 4, prefillTokens: 3 }])(
    'generates the texts of separate calls with %j',
    async (options) => {
      const scheduler = new GenerationScheduler(model, { tokenizer, ...options })
      const handles = requests.slice(0, 4).map((request) => scheduler.submit(request))
      // The others come while these are computed.
      for (let turn = 0; turn < 6; turn++) await setImmediate()
      handles.push(...requests.slice(4).map((request) => scheduler.submit(request)))
      const results = await Promise.all(handles.map(({ result }) => result))
      for (const [i, { ids, text, finishReason }] of results.entries())
        expect({ ids, text, finishReason }).toEqual(await alone(model, requests[i]))
      expect(scheduler.load).toEqual({ waiting: 0, running: 0 })
      scheduler.free()
    },
  )
})

describe('groups', () => {
  const model = build('llama')
  const options = { sample: true, seed: 4, maxNewTokens: 7, numReturnSequences: 6 }

  it.each([1, 2, 4, 16])('have the texts of `generate` with %i rows', async (maxRows) => {
    const scheduler = new GenerationScheduler(model, { tokenizer, maxRows, prefillTokens: 8 })
    const groups = ['one prompt for many answers', 'b'].map((prompt) => scheduler.submitGroup({ prompt, options }))
    // A text that leaves early, while others wait for the prompt.
    groups[0][0].cancel()
    for (const [i, prompt] of ['one prompt for many answers', 'b'].entries()) {
      const whole = await generate(model, tokenizer, [prompt], options)
      const results = await Promise.all(groups[i].map(({ result }) => result))
      const compared = i === 0 ? 1 : 0
      expect(results.slice(compared)).toEqual(whole.slice(compared))
    }
    expect(new Set((await groups[1][0].result).ids).size).toBeGreaterThan(2)
    scheduler.free()
  })
})

describe('log-probabilities', () => {
  const model = build('gpt2')
  const scheduler = new GenerationScheduler(model, { tokenizer, maxRows: 3 })

  /** By a forward pass over prompt and text. */
  const expected = (prompt: string, ids: readonly number[], temperature: number): number[] =>
    noGrad(() =>
      scope(() => {
        const row = [...Buffer.from(prompt), ...ids]
        const inputIds = Tensor.from(BigInt64Array.from(row, BigInt), {
          shape: [1, row.length],
          device: defaultDevice(),
        })
        const logProbs = model.forward({ inputIds }).logits.div(temperature).logSoftmax(-1).toArray() as number[][][]
        return ids.map((id, i) => logProbs[0][row.length - ids.length + i - 1][id])
      }),
    )

  it.each<GenerationOptions>([{}, { sample: true, seed: 1, temperature: 0.7 }])(
    'are those of the model with %j',
    async (options) => {
      const handles = prompts.map((prompt) =>
        scheduler.submit({ prompt, options: { ...options, maxNewTokens: 6 }, logProbs: 'model' }),
      )
      for (const [i, handle] of handles.entries()) {
        const { ids, logProbs = [] } = await handle.result
        const { temperature = 1 } = options
        const wanted = expected(prompts[i], ids, temperature)
        expect(logProbs).toHaveLength(ids.length)
        for (const [k, logProb] of logProbs.entries()) expect(logProb).toBeCloseTo(wanted[k], 4)
      }
    },
  )

  it('are those of the processed distribution, on request', async () => {
    const options = { sample: true, seed: 1, topK: 1, maxNewTokens: 5 }
    const { logProbs } = await scheduler.submit({ prompt: 'abc', options, logProbs: 'processed' }).result
    // One token is left to choose.
    expect(logProbs).toEqual([0, 0, 0, 0, 0])
    for (const more of [{ topK: 5 }, { topP: 0.9 }, { minP: 0.1 }, { repetitionPenalty: 1.1 }])
      expect(() => scheduler.submit({ prompt: 'abc', options: { sample: true, ...more }, logProbs: 'model' })).toThrow(
        /temperature only/,
      )
  })
})

describe('a request', () => {
  const model = build('llama')
  const options = { maxNewTokens: 20 }

  it('is streamed in pieces, which lets timers run', async () => {
    const scheduler = new GenerationScheduler(model, { tokenizer })
    const whole = await alone(model, { prompt: 'abc', options })
    let ticks = 0
    const timer = setInterval(() => ticks++, 0)
    const pieces = []
    for await (const piece of scheduler.submit({ prompt: 'abc', options })) pieces.push(piece)
    clearInterval(timer)
    expect(pieces.map(({ text }) => text).join('')).toBe(whole.text)
    expect(pieces.slice(0, -1).map(({ id }) => id)).toEqual(whole.ids)
    expect(pieces.at(-1)).toMatchObject({ id: undefined, finishReason: 'length' })
    expect(ticks).toBeGreaterThan(2)
    scheduler.free()
  })

  it('ends by cancel, by its signal and when the reader leaves, and others go on', async () => {
    const scheduler = new GenerationScheduler(model, { tokenizer, maxRows: 2 })
    const controller = new AbortController()
    const handles: GenerationHandle[] = []
    for (const [i, { prompt }] of requests.entries())
      handles.push(scheduler.submit({ prompt, options, signal: i === 1 || i === 5 ? controller.signal : undefined }))
    let count = 0
    for await (const _ of handles[0]) if (++count === 3) break
    controller.abort()
    handles[6].cancel()
    const results = await Promise.all(handles.map(({ result }) => result))
    expect(results.map(({ finishReason }) => finishReason)).toEqual(
      requests.map((_, i) => ([0, 1, 5, 6].includes(i) ? 'aborted' : 'length')),
    )
    expect(results[0].ids).toHaveLength(3)
    expect(results[5].ids).toEqual([])
    for (const i of [2, 3, 4]) expect(results[i].ids).toEqual((await alone(model, { prompt: prompts[i], options })).ids)
    const late = scheduler.submit({ prompt: 'a', options, signal: AbortSignal.abort() })
    expect(await late.result).toMatchObject({ finishReason: 'aborted', newTokens: 0 })
    scheduler.free()
  })

  it('is refused before it waits', () => {
    const scheduler = new GenerationScheduler(model, { tokenizer })
    const submit =
      (given: GenerationOptions, prompt = 'a') =>
      () =>
        scheduler.submit({ prompt, options: given })
    expect(submit({ numBeams: 2 })).toThrow(/numBeams/)
    expect(submit({ useCache: false })).toThrow(/useCache/)
    expect(submit({ sample: true, numReturnSequences: 2 })).toThrow(/submitGroup/)
    expect(submit({}, '')).toThrow(/at least one token/)
    expect(() => scheduler.submit({ prompt: 'a', adapter: 'x' })).toThrow(/`adapters`/)
    expect(() => new GenerationScheduler(model, { maxRows: 0 })).toThrow(/maxRows/)
    expect(scheduler.load.waiting).toBeLessThan(2)
    scheduler.free()
  })

  it('is begun by its priority, and then in the order of arrival, with the same text', async () => {
    const scheduler = new GenerationScheduler(model, { tokenizer, maxRows: 1 })
    const [first, ...others] = requests
    const priorities = [0, 3, -1, 0, -1, 3]
    const ended: number[] = []
    const handles = [scheduler.submit(first)]
    // The first one has the only row.
    while (scheduler.load.running === 0) await setImmediate()
    for (const [i, request] of others.entries()) {
      handles.push(scheduler.submit({ ...request, priority: priorities[i] }))
      void handles[i + 1].result.then(() => ended.push(i))
    }
    for (const [i, request] of requests.entries())
      expect(await handles[i].result).toMatchObject(await alone(model, request))
    expect(ended).toEqual([2, 4, 0, 3, 1, 5])
    scheduler.free()
  })

  it('fails alone', async () => {
    const texts = await Promise.all(prompts.map((prompt) => alone(model, { prompt, options })))
    const others = new Set(texts.slice(1).flatMap(({ ids }) => ids))
    const bad = texts[0].ids.find((id) => !others.has(id))
    const broken = {
      ...tokenizer,
      decode: (ids: ArrayLike<number>) => {
        if (Array.from(ids).some((id) => id === bad)) throw new Error('a broken token')
        return tokenizer.decode(ids)
      },
    } as unknown as Tokenizer
    const scheduler = new GenerationScheduler(model, { tokenizer: broken, maxRows: 4 })
    const handles = prompts.map((prompt) => scheduler.submit({ prompt, options }))
    const results = await Promise.allSettled(handles.map(({ result }) => result))
    expect(results[0]).toMatchObject({ status: 'rejected', reason: { message: 'a broken token' } })
    for (const [i, result] of results.entries())
      if (i > 0) expect(result).toMatchObject({ status: 'fulfilled', value: { ids: texts[i].ids } })
    await expect(
      handles[0]
        [Symbol.asyncIterator]()
        .next()
        .then(() => handles[0].result),
    ).rejects.toThrow('broken')
    scheduler.free()
  })
})

describe('a scheduler', () => {
  it('uses nothing that was computed with other weights', async () => {
    const [model, other] = [build('llama'), build('llama').initialize({ std: 0.4, generator: new Generator(6) })]
    let version = 0
    const scheduler = new GenerationScheduler(model, { version: () => version, maxRows: 2 })
    const prompt = [1, 2, 3, 4, 5, 6, 7, 8]
    const options = { maxNewTokens: 12 }
    const handles = [scheduler.submit({ prompt, options }), scheduler.submit({ prompt: [9], options })]
    const iterator = handles[0][Symbol.asyncIterator]()
    for (let i = 0; i < 4; i++) await iterator.next()
    model.loadState(other.parameters())
    version++
    const { ids } = await handles[0].result
    const first = ids.slice(0, 4)
    const [rest] = await generate(model, undefined, [[...prompt, ...first]], { maxNewTokens: 8 })
    expect(ids.slice(4)).toEqual(rest.ids)
    scheduler.free()
  })

  it('uses the beginnings of earlier texts again, of the same weights only', async () => {
    const model = build('gpt2', { maxPositions: 128 })
    let version = 0
    const scheduler = new GenerationScheduler(model, { version: () => version, maxRows: 2, prefixCacheBytes: 1e6 })
    const common = Array.from({ length: 40 }, (_, i) => (i * 7) % 250)
    const say = async (prompt: number[]) => {
      const handle = scheduler.submit({ prompt, options: { maxNewTokens: 20 } })
      const { ids } = await handle.result
      const [{ ids: wanted }] = await generate(model, undefined, [prompt], { maxNewTokens: 20 })
      expect(ids).toEqual(wanted)
      return { ids, reused: handle.reusedTokens }
    }
    const first = await say([...common, 1, 2])
    expect(first.reused).toBe(0)
    // Two whole blocks of 16 are the same.
    expect((await say([...common, 3])).reused).toBe(32)
    // A prompt that continues a text: 62 tokens of it were computed but for the last.
    expect((await say([...common, 1, 2, ...first.ids, 9])).reused).toBe(48)
    // The logits of the last token are needed.
    expect((await say(common.slice(0, 32))).reused).toBe(16)
    expect((await say([8, ...common])).reused).toBe(0)
    model.initialize({ std: 0.3, generator: new Generator(9) })
    version++
    expect((await say([...common, 1, 2])).reused).toBe(0)
    expect((await say([...common, 1, 2])).reused).toBe(32)
    scheduler.free()
  })

  it('halves its rows when memory does not suffice, and loses no request', async () => {
    const model = build('llama', { hiddenSize: 512, numKvHeads: 4, headDim: 128 })
    const options = { maxNewTokens: 30 }
    const wanted = await Promise.all(prompts.map((prompt) => alone(model, { prompt, options })))
    emptyCache()
    const scheduler = new GenerationScheduler(model, { tokenizer, maxRows: 8 })
    // A row of 58 tokens needs 2 layers × keys and values × 4 heads × 128 × 4 bytes of each: 475 kB; eight need 3.8 MB.
    setMemoryLimit(memoryStatistics().inUse + 2_500_000)
    try {
      const handles = prompts.map((prompt) => scheduler.submit({ prompt, options }))
      const running: number[] = []
      for await (const _ of handles[0]) running.push(scheduler.load.running)
      const results = await Promise.all(handles.map(({ result }) => result))
      expect(results.map(({ ids }) => ids)).toEqual(wanted.map(({ ids }) => ids))
      expect(Math.max(...running)).toBeLessThan(prompts.length)
    } finally {
      setMemoryLimit(undefined)
      scheduler.free()
    }
  })

  it('loses and mixes nothing in a crowd that comes and goes', async () => {
    const model = build('gpt2')
    const random = createRandom(11)
    const scheduler = new GenerationScheduler(model, {
      tokenizer,
      maxRows: 5,
      prefillTokens: 7,
      // So little that blocks are dropped all the time.
      prefixCacheBytes: 40_000,
    })
    const known = new Map<string, number[]>()
    const solo = async (prompt: string, options: GenerationOptions) => {
      const key = JSON.stringify([prompt, options])
      if (!known.has(key)) known.set(key, (await alone(model, { prompt, options })).ids)
      return known.get(key) ?? []
    }
    const common = 'the same beginning of all of them, '
    const sent: { handle: GenerationHandle; prompt: string; options: GenerationOptions; cancelled: boolean }[] = []
    for (let i = 0; i < 60; i++) {
      const prompt = (random.float() < 0.6 ? common : '') + prompts[random.integer(prompts.length)].slice(0, 20)
      const options: GenerationOptions = {
        maxNewTokens: 1 + random.integer(8),
        ...(random.float() < 0.5 ? { sample: true, seed: random.integer(2) } : {}),
      }
      const handle = scheduler.submit({ prompt, options })
      const one = { handle, prompt, options, cancelled: random.float() < 0.2 }
      sent.push(one)
      const turns = random.integer(6)
      for (let turn = 0; turn < random.integer(3); turn++) await setImmediate()
      if (one.cancelled)
        void Promise.resolve().then(async () => {
          for (let turn = 0; turn < turns; turn++) await setImmediate()
          handle.cancel()
        })
    }
    for (const { handle, prompt, options, cancelled } of sent) {
      const { ids, finishReason } = await handle.result
      const whole = await solo(prompt, options)
      if (!cancelled) expect(finishReason).toBe('length')
      expect(ids).toEqual(whole.slice(0, ids.length))
      if (finishReason === 'length') expect(ids).toHaveLength(whole.length)
    }
    expect(scheduler.load).toEqual({ waiting: 0, running: 0 })
    scheduler.free()
  })

  it('frees what it made', async () => {
    const model = build('gpt2')
    const run = async () => {
      const scheduler = new GenerationScheduler(model, { tokenizer, maxRows: 3 })
      const handles = requests.map((request) => scheduler.submit(request))
      await handles[0].result
      handles[3].cancel()
      await scheduler.idle()
      scheduler.free()
    }
    await run()
    const before = liveTensors()
    await run()
    expect(liveTensors()).toBeLessThanOrEqual(before)
  })
})
