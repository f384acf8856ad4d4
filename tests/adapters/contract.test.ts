// The contract of fine-tuning methods on every architecture that supports them: which tensors change, switching, files,
// dropout, packed rows, recomputation, and generation with a cache.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  type AdapterConfig,
  type AdapterType,
  adapters,
  adaptersOf,
  applyAdapter,
  loadAdapter,
  saveAdapter,
} from '../../src/adapters/index.ts'
import { generate } from '../../src/generation/index.ts'
import {
  buildModel,
  type HeadType,
  headsOf,
  type Model,
  type ModelDefinition,
  type ModelType,
  models,
} from '../../src/models/index.ts'
import { DropoutMasks, withDropout } from '../../src/nn/index.ts'
import { Generator, noGrad, type Tensor, tensor } from '../../src/tensor/index.ts'
import { placed, testDevice } from '../device.ts'
import { eachValue } from '../grid.ts'
import { belowOf, configOf, refusals } from './methods.ts'
import { apart } from './outputs.ts'

const scratch = mkdtempSync(join(tmpdir(), 'adapters-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const types = Object.keys(adapters) as AdapterType[]
const architectures = Object.keys(models) as ModelType[]

const make = (type: ModelType, head: HeadType = 'sequence-classification', seed = 1): Model => {
  const definition = models[type] as (typeof models)['bert']
  const config = definition.adjust(definition.presets.test, {})
  return buildModel(definition as never, config, head, { labels: ['a', 'b', 'c'] })
    .initialize({ std: 0.2, generator: new Generator(seed) })
    .to({ device: testDevice })
    .eval()
}

const hasDropout = ({ config }: Model): boolean =>
  Object.entries(config).some(([key, value]) => /dropout/i.test(key) && !/classifier/i.test(key) && Number(value) > 0)

/** What tests ask of an architecture, of one model each: they are too many to build one for each question. */
const traits = new Map(
  architectures.map((type) => {
    const model = make(type)
    const writes = 'causal-lm' in headsOf(models[type] as ModelDefinition, model.config)
    return [type, { packs: model.facts.packs !== false, hasDropout: hasDropout(model), writes }]
  }),
)

const batch = (rows: number[][]) =>
  placed(tensor(BigInt64Array.from(rows.flat(), BigInt), { shape: [rows.length, rows[0].length] }))
const ids = batch([
  [5, 6, 7, 8, 9],
  [10, 11, 12, 13, 14],
])
const logitsOf = (model: Model) => noGrad(() => model.forward({ inputIds: ids }).logits.toFloat32Array())
const bits = (values: Tensor) => Buffer.from(values.toFloat32Array().buffer.slice(0)).toString('base64')

const step = (model: Model, trainable: ReadonlyMap<string, Tensor>, seed = 3, recompute = 0) => {
  const masks = new DropoutMasks(new Generator(seed))
  const { logits } = withDropout(masks, () => model.forward({ inputIds: ids, recompute }))
  const loss = logits.sub(1).square().sum()
  loss.backward()
  const gradients = new Map([...trainable].map(([path, { grad }]) => [path, grad]))
  return { loss: loss.item(), gradients }
}
const descend = (trainable: ReadonlyMap<string, Tensor>, rate = 0.01) =>
  noGrad(() => {
    for (const parameter of trainable.values()) {
      if (parameter.grad !== undefined) parameter.detach().sub_(parameter.grad.mul(rate))
      parameter.grad = undefined
    }
  })

const pairs = types.flatMap((type) => architectures.map((architecture) => [type, architecture] as const))
const working = pairs.filter(([type, architecture]) => refusals[type]?.[architecture] === undefined)

describe('a method on an architecture without a place for it', () => {
  it.each(pairs.filter((pair) => !working.includes(pair)))(
    'is refused with the reason: %s on %s',
    (type, architecture) => {
      const model = make(architecture)
      expect(() => applyAdapter(model, configOf(type))).toThrow(refusals[type]?.[architecture])
      expect([...model.parameters().keys()].some((path) => path.includes('adapters'))).toBe(false)
    },
  )

  it.each(['prefix-tuning', 'prompt-tuning'] as const)(
    'is refused with the reason: %s on the encoder of t5 alone',
    (type) => {
      expect(() => applyAdapter(make('t5', 'embedding'), configOf(type))).toThrow(/needs a head with a decoder/)
    },
  )
})

describe.each(eachValue(working, (pair) => pair, 3))('%s on %s', (type, architecture) => {
  it('changes its own tensors only, and is removed without a trace', async () => {
    const model = make(architecture)
    const below = belowOf(type, model)
    adaptersOf(model).activate([])
    const before = logitsOf(model)
    const plain = new Map([...model.parameters()].map(([path, value]) => [path, bits(value)]))
    const applied = applyAdapter(model, configOf(type), { seed: 5, below })
    const { trainable } = applied
    const all = model.parameters()
    const requiring = [...all].filter(([, { requiresGrad }]) => requiresGrad)
    expect(new Set(requiring.map(([path]) => path))).toEqual(new Set(trainable.keys()))
    for (const [path, value] of trainable) expect(all.get(path), path).toBe(value)
    expect(applied.parameterCount).toBe(requiring.reduce((sum, [, { size }]) => sum + size, 0))
    // Virtual tokens, and trained adapters below, change what a model gives from the start; all else begins as no change.
    if (applied.virtualTokens + below.length === 0) expect(apart(logitsOf(model), before)).toBe(0)

    const losses = Array.from({ length: 5 }, () => {
      const { loss, gradients } = step(model, trainable)
      for (const [path, gradient] of gradients) expect(gradient, path).toBeDefined()
      descend(trainable, 1e-3)
      return loss
    })
    expect(losses[4]).toBeLessThan(losses[0])
    for (const [path, value] of model.parameters())
      if (!trainable.has(path) && plain.has(path)) expect(bits(value) === plain.get(path), path).toBe(true)
    if (type === 'full') return
    const tuned = logitsOf(model)
    expect(apart(tuned, before)).toBeGreaterThan(1e-6)

    // Off is the base to the bit, on is the adapter to the bit.
    applied.enable(false)
    expect(apart(logitsOf(model), before)).toBe(0)
    for (const [path, value] of model.parameters()) expect(bits(value) === plain.get(path), path).toBe(true)
    expect(model.parameters().size).toBe(plain.size)
    applied.enable()
    expect(apart(logitsOf(model), tuned)).toBe(0)

    // Files: the same values on a base of the same values.
    const folder = join(scratch, `${type}-${architecture}`)
    await saveAdapter(applied, folder, { base: 'somewhere' })
    const again = await loadAdapter(folder, { base: make(architecture) })
    expect(apart(logitsOf(again.model), tuned)).toBe(0)
    expect(again.applied.config).toEqual(applied.config)
    // A run's checkpoint: values by path.
    const another = make(architecture)
    const other = applyAdapter(another, configOf(type), { seed: 6, below: belowOf(type, another) })
    other.loadState(trainable)
    expect(apart(logitsOf(other.model), tuned)).toBe(0)
    const [path] = trainable.keys()
    expect(() => other.loadState(new Map([...trainable].slice(1)))).toThrow(path)
    applied.remove()
    expect(apart(logitsOf(model), before)).toBe(0)
    expect(adaptersOf(model).names).toEqual(below)
  })

  it('takes dropout from the seed, also in recomputed layers', () => {
    const prepared = () => {
      const model = make(architecture)
      const config = type === 'lora' ? { ...configOf(type), dropout: 0.4 } : configOf(type)
      const { trainable } = applyAdapter(model, config as AdapterConfig, { seed: 5, below: belowOf(type, model) })
      // Not the start: there, B is zero and A gets no gradient.
      step(model, trainable)
      descend(trainable)
      model.train()
      return (recompute: number, seed = 3) => {
        const { loss, gradients } = step(model, trainable, seed, recompute)
        const values = [...gradients].map(([path, gradient]) => [path, gradient!.toFloat32Array()] as const)
        for (const parameter of trainable.values()) parameter.grad = undefined
        return { loss, gradients: values }
      }
    }
    const [run, runOfAnother] = [prepared(), prepared()]
    const [first, second, again, other] = [run(0), runOfAnother(0), runOfAnother(2), run(0, 4)]
    expect(second.loss).toBe(first.loss)
    expect(again.loss).toBe(first.loss)
    // Llama and its kin have no dropout of their own; ALBERT has it before the classifier alone.
    const draws = type === 'lora' || architecture === 'albert' || traits.get(architecture)?.hasDropout
    expect(other.loss !== first.loss).toBe(draws)
    first.gradients.forEach(([path, values], i) => {
      expect(apart(values, second.gradients[i][1]), path).toBe(0)
      expect(apart(values, again.gradients[i][1]), path).toBeLessThan(1e-4 * Math.max(1, ...values.map(Math.abs)))
    })
  })

  const packs = traits.get(architecture)?.packs
  it.skipIf(!packs)(
    `takes packed rows as padded ones${packs ? '' : ` (skipped: ${architecture} has no packed form)`}`,
    () => {
      const model = make(architecture)
      const applied = applyAdapter(model, configOf(type), { seed: 5, below: belowOf(type, model) })
      step(model, applied.trainable)
      descend(applied.trainable)
      const starts = tensor([0, 5, 10], { dtype: 'int64' })
      const packed = noGrad(() => model.forward({ inputIds: ids.reshape([1, 10]), starts }).logits)
      expect(apart(packed.toFloat32Array(), logitsOf(model))).toBeLessThan(1e-5)
    },
  )
})

const writers = working.filter(([type, architecture]) => type !== 'full' && traits.get(architecture)?.writes)
describe('generation', () => {
  const chosen = eachValue(writers, (pair) => pair)
  it.each(chosen)('with %s on %s gives the same tokens with and without a cache', async (type, architecture) => {
    const model = make(architecture, 'causal-lm')
    const applied = applyAdapter(model, configOf(type), { seed: 5, below: belowOf(type, model) })
    noGrad(() => {
      const generator = new Generator(9)
      // VeRA's vectors scale random matrices, which changes little.
      const std = type === 'vera' ? 1 : 0.3
      for (const value of applied.trainable.values()) value.detach().add_(value.mul(0).normal_(0, std, { generator }))
    })
    const prompts = [
      [5, 6, 7],
      [8, 9],
    ]
    const write = async (useCache: boolean) =>
      (
        await generate(model, undefined, prompts, {
          maxNewTokens: 12,
          useCache,
          padTokenId: 0,
        })
      ).map(({ ids: out }) => [...out])
    const cached = await write(true)
    expect(await write(false)).toEqual(cached)
    applied.enable(false)
    expect(await write(true)).not.toEqual(cached)
  })
})

describe.each([
  ['gpt2', 'causal-lm'],
  ['t5', 'seq2seq-lm'],
] as const)('the output matrix of %s, which is the table of its embeddings', (architecture, head) => {
  it.each([
    ['linear-probe', {}],
    ['lora', { trainHead: true }],
  ] as const)('is trained by %s apart from the table', async (type, more) => {
    const model = make(architecture, head)
    const table = bits(model.body.embedTokens.weight)
    const logits = (of: Model) =>
      noGrad(() => of.forward({ inputIds: ids, decoderInputIds: ids }).logits.toFloat32Array())
    const before = logits(model)
    const applied = applyAdapter(model, { ...configOf(type), ...more } as AdapterConfig, { seed: 5 })
    expect([...applied.trainable.keys()]).toContain('head.lmHead.weight')
    expect(apart(logits(model), before)).toBe(0)
    model.forward({ inputIds: ids, decoderInputIds: ids }).logits.sub(1).square().sum().backward()
    descend(applied.trainable, 1e-3)
    const tuned = logits(model)
    expect(apart(tuned, before)).toBeGreaterThan(1e-6)
    expect(bits(model.body.embedTokens.weight)).toBe(table)
    applied.enable(false)
    expect(apart(logits(model), before)).toBe(0)
    applied.enable()
    const folder = join(scratch, `tied-${type}-${architecture}`)
    await saveAdapter(applied, folder, { base: 'somewhere' })
    const again = await loadAdapter(folder, { base: make(architecture, head) })
    expect(apart(logits(again.model), tuned)).toBe(0)
    // A model of another dtype has its table for both again.
    model.to({ dtype: 'bfloat16' })
    applied.remove()
    expect((model.head as unknown as { lmHead: { weight: Tensor } }).lmHead.weight).toBe(model.body.embedTokens.weight)
  })
})
