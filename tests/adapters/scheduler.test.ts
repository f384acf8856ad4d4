// Requests with different adapters on one base, in one scheduler: each text equals that of `generate` with its adapter
// alone on the base.
import { describe, expect, it } from 'vitest'
import { type AdapterType, adapterRouting, adapters, adaptersOf, applyAdapter } from '../../src/adapters/index.ts'
import { type GenerationRequest, GenerationScheduler, generate } from '../../src/generation/index.ts'
import { buildModel, type Model, models, quantizeWeights } from '../../src/models/index.ts'
import { Generator, noGrad } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { belowOf, configOf, refusals } from './methods.ts'

const types = ['gpt2', 'llama', 't5'] as const
type Type = (typeof types)[number]
const build = (type: Type): Model => {
  const definition = models[type] as never as (typeof models)['gpt2']
  const config = definition.config.parse({ ...definition.presets.test })
  const head = type === 't5' ? 'seq2seq-lm' : 'causal-lm'
  return buildModel(definition as never, config, head)
    .initialize({ std: 0.3, generator: new Generator(8) })
    .to({ device: testDevice })
}

/** Puts an adapter with random values on a model. */
const add = (model: Model, type: AdapterType, name: string, seed: number) => {
  applyAdapter(model, configOf(type), { name, below: belowOf(type, model) })
  const draws = new Generator(seed)
  noGrad(() => {
    for (const tensor of adaptersOf(model).tensorsOf(name).values())
      tensor.copy_(tensor.add(tensor.clone().normal_(0, 0.3, { generator: draws })))
  })
  return name
}

const prompts = [[1, 2, 3, 4, 5, 6, 7], [9], [5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [3, 3, 3], [20, 21]]
const options = { maxNewTokens: 6 }

const textsAlone = async (model: Model, adapter: string | null) => {
  adaptersOf(model).activate(adapter ?? [])
  const results = await Promise.all(prompts.map((prompt) => generate(model, undefined, [prompt], options)))
  return results.map(([{ ids }]) => ids)
}

const scheduled = async (scheduler: GenerationScheduler, names: readonly (string | null)[]) => {
  const requests = prompts.flatMap((prompt): GenerationRequest[] =>
    names.map((adapter) => ({ prompt, options, adapter })),
  )
  const results = await Promise.all(requests.map((request) => scheduler.submit(request).result))
  return names.map((_, i) => prompts.map((_, p) => results[p * names.length + i].ids))
}

describe.each(types)('%s', (type) => {
  const methods = (Object.keys(adapters) as AdapterType[]).filter((method) => {
    const works = refusals[method]?.[type] === undefined && adapters[method].inPlace !== true
    // Methods that change layers do so in the same way on all types.
    return works && (type === 'llama' || ['lora', 'prefix-tuning', 'prompt-tuning', 'bitfit'].includes(method))
  })

  it.each(methods)('generates with %s what `generate` does', async (method) => {
    const model = build(type)
    const names = [add(model, method, 'one', 1), add(model, method, 'two', 2)]
    const wanted = []
    for (const name of [...names, null]) wanted.push(await textsAlone(model, name))
    const scheduler = new GenerationScheduler(model, { adapters: adapterRouting(model), maxRows: 4, prefillTokens: 4 })
    expect(await scheduled(scheduler, [...names, null])).toEqual(wanted)
    // Without a name it is the model as it is.
    adaptersOf(model).activate('two')
    const plain = new GenerationScheduler(model, { maxRows: 2 })
    const results = await Promise.all(prompts.map((prompt) => plain.submit({ prompt, options }).result))
    expect(results.map(({ ids }) => ids)).toEqual(wanted[1])
    for (const used of [scheduler, plain]) used.free()
  })
})

describe('mixed adapters', () => {
  it.each(['none', 'int8', 'nf4'] as const)('share one base, quantised to %s', async (format) => {
    const model = build('llama')
    if (format !== 'none') quantizeWeights(model, format)
    const names = [
      add(model, 'lora', 'low', 1),
      add(model, 'prompt-tuning', 'soft', 2),
      add(model, 'lora', 'other', 3),
      add(model, 'prefix-tuning', 'prefix', 4),
      add(model, 'ia3', 'scaled', 5),
      null,
    ]
    const wanted = []
    for (const name of names) wanted.push(await textsAlone(model, name))
    adaptersOf(model).activate('scaled')
    const scheduler = new GenerationScheduler(model, { adapters: adapterRouting(model), maxRows: 8 })
    expect(await scheduled(scheduler, names)).toEqual(wanted)
    expect(new Set(wanted.map((texts) => texts.join())).size).toBe(names.length)
    // The adapter that was active still is.
    expect(adaptersOf(model).active).toEqual(['scaled'])
    expect(() => scheduler.submit({ prompt: [1], adapter: 'loww' })).toThrow(/low/)
    scheduler.free()
  })

  it.each(['lora', 'prefix-tuning', 'prompt-tuning'] as const)(
    'of one name never use what another computed (%s)',
    async (method) => {
      const model = build('llama')
      const bank = adaptersOf(model)
      const scheduler = new GenerationScheduler(model, { adapters: adapterRouting(model), prefixCacheBytes: 1e6 })
      const prompt = Array.from({ length: 37 }, (_, i) => (i * 5) % 120)
      const say = async (adapter: string | null | undefined) => {
        const handle = scheduler.submit({ prompt, options, adapter })
        const { ids } = await handle.result
        if (adapter !== undefined) bank.activate(adapter ?? [])
        expect(ids).toEqual((await generate(model, undefined, [prompt], options))[0].ids)
        return handle.reusedTokens
      }
      add(model, method, 'one', 1)
      const reused = [await say('one'), await say('one'), await say(null), await say(null), await say(undefined)]
      expect(reused).toEqual([0, 32, 0, 32, 32])
      bank.remove('one')
      add(model, method, 'one', 2)
      expect([await say('one'), await say('one'), await say(undefined)]).toEqual([0, 32, 32])
      // Replaced while a text is computed: it goes on with the new one.
      bank.activate([])
      const handle = scheduler.submit({ prompt, options, adapter: 'one' })
      const pieces = handle[Symbol.asyncIterator]()
      const begun = [await pieces.next(), await pieces.next(), await pieces.next()].map(({ value }) => value.id)
      bank.remove('one')
      add(model, method, 'one', 3)
      const { ids } = await handle.result
      expect(ids.slice(0, 3)).toEqual(begun)
      bank.activate('one')
      const [rest] = await generate(model, undefined, [[...prompt, ...begun]], { maxNewTokens: 3 })
      expect(ids.slice(3)).toEqual(rest.ids)
      const removed = scheduler.submit({ prompt, options, adapter: 'one' })
      bank.remove('one')
      await expect(removed.result).rejects.toThrow(/adapter/)
      scheduler.free()
    },
  )
})
