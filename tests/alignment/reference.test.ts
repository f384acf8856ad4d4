// References: the base under adapters, copies in other precisions, weights that follow the policy, and the cache on disk.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { adaptersOf, applyAdapter } from '../../src/adapters/index.ts'
import {
  adapterCopyReference,
  adaptersOffReference,
  type CompletionTokens,
  cachedReference,
  frozenCopy,
  hashWeights,
  modelReference,
  scoreCompletions,
} from '../../src/alignment/index.ts'
import { Generator, noGrad, randn, scope, type Tensor } from '../../src/tensor/index.ts'
import { placed } from '../device.ts'
import { build, random } from '../objectives/small-models.ts'

const newFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'references-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return folder
}
const draw = random('references')
const completions: CompletionTokens[] = [3, 8, 5].map((length) => ({
  ids: Uint32Array.from({ length: 4 + length }, () => 7 + draw.integer(110)),
  starts: [0],
  promptTokens: 4,
}))
const options = { microTokens: 64, padded: false }
const scored = async (model: ReturnType<typeof build>) =>
  (await scoreCompletions(model, completions, options)).map(({ logProbs }) => logProbs)

/** Changes every tensor, as training would. */
const disturb = (tensors: Iterable<Tensor>, seed = 7) =>
  noGrad(() =>
    scope(() => {
      const generator = new Generator(seed)
      for (const tensor of tensors) tensor.detach().add_(placed(randn(tensor.shape, { generator })).mul(0.05))
    }),
  )
const furthest = (a: readonly Float32Array[], b: readonly Float32Array[]) =>
  Math.max(...a.flatMap((row, i) => [...row].map((value, t) => Math.abs(value - b[i][t]))))

describe('adapters off', () => {
  it.each([{ type: 'lora' }, { type: 'ia3' }, { type: 'prompt-tuning' }] as const)(
    'is the base to the bit, whatever the adapter $type learned',
    async (config) => {
      const model = build('llama', 'causal-lm')
      const base = await scored(model)
      const applied = applyAdapter(model, config, { name: 'policy' })
      applied.model.train()
      disturb(applied.trainable.values())
      const reference = adaptersOffReference(applied)
      expect(await reference.logProbs(completions, options)).toEqual(base)
      expect(applied.active).toBe(true)
      expect(applied.model.training).toBe(true)
      expect(furthest(await scored(applied.model), base)).toBeGreaterThan(1e-4)
    },
  )

  it('switches the adapter on again after an error', async () => {
    const applied = applyAdapter(build('llama', 'causal-lm'), { type: 'lora' })
    const stopped = { ...options, signal: AbortSignal.abort(new Error('stopped')) }
    await expect(adaptersOffReference(applied).logProbs(completions, stopped)).rejects.toThrow('stopped')
    expect(applied.active).toBe(true)
  })

  it('refuses a method that trains the base', () => {
    const applied = applyAdapter(build('llama', 'causal-lm'), { type: 'full' })
    expect(() => adaptersOffReference(applied)).toThrow('`full` trains the base itself')
  })
})

describe('a copy of an adapter', () => {
  it('keeps the values that the adapter had, and follows the policy when it is told to', async () => {
    const model = build('llama', 'causal-lm')
    const applied = applyAdapter(model, { type: 'lora', rank: 2 }, { name: 'policy' })
    disturb(applied.trainable.values())
    const before = await scored(model)
    const reference = adapterCopyReference(applied)
    disturb(applied.trainable.values(), 8)
    expect(await reference.logProbs(completions, options)).toEqual(before)
    expect(adaptersOf(model).active).toEqual(['policy'])
    expect([...applied.trainable.keys()].every((path) => path.includes('.adapters.policy.'))).toBe(true)
    reference.follows?.update(1)
    expect(await reference.logProbs(completions, options)).toEqual(await scored(model))
  })
})

describe('a frozen copy', () => {
  it.each([
    [undefined, 0, 0],
    ['float32', 0, 0],
    ['bfloat16', 1e-5, 0.05],
    ['int8', 1e-5, 0.05],
    ['nf4', 1e-4, 1],
  ] as const)('in %s is as close as its precision allows', async (precision, least, most) => {
    const model = build('llama', 'causal-lm')
    const base = await scored(model)
    const reference = modelReference(frozenCopy(model, precision), model)
    disturb(model.parameters().values())
    const apart = furthest(await reference.logProbs(completions, options), base)
    expect(apart).toBeGreaterThanOrEqual(least)
    expect(apart).toBeLessThanOrEqual(most)
    // A quantised copy cannot follow weights.
    expect(reference.follows === undefined).toBe(precision === 'int8' || precision === 'nf4')
  })

  it.each(['int8', 'nf4'] as const)('in %s of a model in bfloat16 computes in bfloat16', async (precision) => {
    const model = build('llama', 'causal-lm')
    model.to({ dtype: 'bfloat16' })
    const rounded = build('llama', 'causal-lm')
    rounded.to({ dtype: 'bfloat16' })
    rounded.to({ dtype: 'float32' })
    const wide = await modelReference(frozenCopy(rounded, precision)).logProbs(completions, options)
    const copy = frozenCopy(model, precision)
    expect([...new Set([...copy.parameters().values()].map(({ dtype }) => dtype))]).toEqual(['bfloat16'])
    const apart = furthest(await modelReference(copy, model).logProbs(completions, options), wide)
    expect(apart).toBeGreaterThan(1e-4)
    expect(apart).toBeLessThan(0.05)
  })

  it('shares no memory, and copies tied weights once', () => {
    const model = build('gpt2', 'causal-lm')
    const copy = frozenCopy(model)
    expect(copy.parameters().size).toBe(model.parameters().size)
    for (const [path, parameter] of copy.parameters()) {
      expect(parameter.sharesStorageWith(model.parameters().get(path) as Tensor)).toBe(false)
      expect(parameter.requiresGrad).toBe(false)
    }
  })

  it('moves by its share towards the policy', () => {
    const model = build('llama', 'causal-lm')
    const copy = frozenCopy(model)
    const reference = modelReference(copy, model)
    disturb(model.parameters().values())
    const path = 'body.layers.0.mlp.upProj.weight'
    const [before, target] = [copy, model].map((one) => one.parameters().get(path)?.toFloat32Array() as Float32Array)
    reference.follows?.update(0.25)
    const after = copy.parameters().get(path)?.toFloat32Array() as Float32Array
    for (const [i, value] of after.entries()) expect(value).toBeCloseTo(0.75 * before[i] + 0.25 * target[i], 6)
  })

  it('refuses a model with an active adapter', () => {
    const { model } = applyAdapter(build('llama', 'causal-lm'), { type: 'lora' })
    expect(() => frozenCopy(model)).toThrow('Expected a model without active adapters')
  })
})

describe('the cache', () => {
  const make = async (folder: string | undefined, model = build('llama', 'causal-lm')) => {
    let calls = 0
    const inner = modelReference(model)
    const counting = {
      ...inner,
      logProbs: (...given: Parameters<typeof inner.logProbs>) => {
        calls += given[0].length
        return inner.logProbs(...given)
      },
    }
    const cached = await cachedReference(counting, { folder, identity: hashWeights(model) })
    return { cached, expected: await scored(model), calls: () => calls }
  }

  it('computes each completion once, and reads it from disk in another process', async () => {
    const folder = await newFolder()
    const first = await make(folder)
    const twice = [...completions, completions[1]]
    expect(await first.cached.precompute(twice, options)).toBe(3)
    expect(await first.cached.logProbs(completions, options)).toEqual(first.expected)
    expect(first.calls()).toBe(3)
    const second = await make(folder)
    second.cached.release()
    expect(await second.cached.logProbs(completions, options)).toEqual(first.expected)
    expect(second.calls()).toBe(0)
  })

  it('tells weights, temperatures and prompts apart', async () => {
    const folder = await newFolder()
    const first = await make(folder)
    await first.cached.precompute(completions, options)
    const other = await make(folder, build('llama', 'causal-lm', { seed: 2 }))
    expect(await other.cached.logProbs(completions, options)).toEqual(other.expected)
    expect(furthest(other.expected, first.expected)).toBeGreaterThan(1e-3)
    const warm = await first.cached.logProbs(completions, { ...options, temperature: 2 })
    expect(furthest(warm, first.expected)).toBeGreaterThan(1e-3)
    const [longer] = await first.cached.logProbs([{ ...completions[0], promptTokens: 2 }], options)
    expect(longer.length).toBe(first.expected[0].length + 2)
  })

  it('notices a damaged file and computes its values again', async () => {
    const folder = await newFolder()
    const first = await make(folder)
    await first.cached.precompute(completions, options)
    const files = await readdir(folder, { recursive: true })
    const shard = join(folder, files.find((name) => name.endsWith('.safetensors')) as string)
    const bytes = await readFile(shard)
    bytes[bytes.length - 1] ^= 1
    await writeFile(shard, bytes)
    const second = await make(folder)
    expect(second.cached.damaged).toEqual([shard])
    expect(await second.cached.logProbs(completions, options)).toEqual(first.expected)
    expect(second.calls()).toBe(3)
  })

  it('says what is missing without the reference model', async () => {
    const { cached } = await make(undefined)
    await cached.precompute(completions.slice(0, 1), options)
    cached.release()
    await expect(cached.logProbs(completions, options)).rejects.toThrow('2 completions are not in its cache')
  })
})
