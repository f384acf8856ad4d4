// AdapterDrop: bottlenecks that leave the first layers, before training or after it.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { adaptersOf, applyAdapter, loadAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { saveModel } from '../../src/checkpoint/index.ts'
import { dropAdapterLayers } from '../../src/export/index.ts'
import { buildModel, type HeadType, type Model, models } from '../../src/models/index.ts'
import { Generator, noGrad, type Tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { apart, ids, stir } from './outputs.ts'

const scratch = mkdtempSync(join(tmpdir(), 'adapter-drop-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const at = (name: string) => join(scratch, name)

const make = (type: 'bert' | 't5' | 'albert' = 'bert', head: HeadType = 'sequence-classification'): Model => {
  const definition = models[type] as (typeof models)['bert']
  return buildModel(definition as never, definition.adjust(definition.presets.test, { numLayers: 4 }), head, {
    labels: ['a', 'b'],
  })
    .initialize({ std: 0.2, generator: new Generator(1) })
    .to({ device: testDevice })
    .eval()
}
const logitsOf = (model: Model) =>
  noGrad(() => model.forward({ inputIds: ids, decoderInputIds: ids }).logits.toFloat32Array())
/** Bottlenecks of the first layers that add nothing: what leaving them out must equal. */
const silence = (trainable: ReadonlyMap<string, Tensor>, layers: number) =>
  noGrad(() => {
    for (const [path, value] of trainable)
      if (/\.up\./.test(path) && Number(/layers\.(\d+)/.exec(path)?.[1]) < layers) value.detach().zero_()
  })

describe.each(['houlsby', 'pfeiffer', 'parallel'] as const)('%s', (type) => {
  it('is trained in the upper layers alone, and its files say so', async () => {
    const model = make()
    const applied = applyAdapter(model, { type, size: 3, dropLayers: 2 })
    const layers = new Set([...applied.trainable.keys()].flatMap((path) => /layers\.(\d+)/.exec(path)?.[1] ?? []))
    expect([...layers].sort()).toEqual(['2', '3'])
    stir(applied.trainable)
    const logits = logitsOf(model)
    await saveAdapter(applied, at(`trained-${type}`), { base: 'somewhere' })
    const again = await loadAdapter(at(`trained-${type}`), { base: make() })
    expect(apart(logitsOf(again.model), logits)).toBe(0)
  })

  it('leaves the first layers after training, as if it added nothing there', async () => {
    const [model, whole] = [make(), make()]
    const [applied, silent] = [model, whole].map((one) => applyAdapter(one, { type, size: 3 }))
    stir(applied.trainable)
    stir(silent.trainable)
    silence(silent.trainable, 3)
    applied.dropLayers(3)
    expect(apart(logitsOf(model), logitsOf(whole))).toBe(0)
    expect(applied.config).toMatchObject({ dropLayers: 3 })
    const { bank } = applied
    bank.duplicate('default', 'copy')
    expect(apart(logitsOf(bank.activate('copy')), logitsOf(whole))).toBe(0)
    applied.enable(false)
    expect(apart(logitsOf(model), logitsOf(make()))).toBe(0)
  })
})

it('leaves out a random number of layers in each step, the same for a seed and a step', () => {
  const model = make()
  const applied = applyAdapter(model, { type: 'houlsby', size: 3, randomDropLayers: 3, trainHead: false })
  stir(applied.trainable)
  const whole = logitsOf(model)
  const { beginStep, endStep } = applied.beginTraining({ totalSteps: 9, parameters: applied.trainable }) ?? {}
  const lowest = (step: number, seed = 1) => {
    beginStep?.({ seed, step })
    const logits = logitsOf(model)
    model.forward({ inputIds: ids }).logits.sum().backward()
    const trained = [...applied.trainable].flatMap(([path, { grad }]) =>
      grad === undefined ? [] : [Number(/layers\.(\d+)/.exec(path)?.[1])],
    )
    for (const value of applied.trainable.values()) value.grad = undefined
    endStep?.()
    const [silent, first] = [make(), Math.min(...trained)]
    const other = applyAdapter(silent, { type: 'houlsby', size: 3, trainHead: false })
    stir(other.trainable)
    silence(other.trainable, first)
    expect(apart(logits, logitsOf(silent))).toBe(0)
    expect(apart(logitsOf(model), whole)).toBe(0)
    return first
  }
  const drawn = Array.from({ length: 24 }, (_, step) => lowest(step))
  expect([...new Set(drawn)].sort()).toEqual([0, 1, 2, 3])
  expect(Array.from({ length: 4 }, (_, step) => lowest(step))).toEqual(drawn.slice(0, 4))
  expect(Array.from({ length: 24 }, (_, step) => lowest(step, 2))).not.toEqual(drawn)
})

it('counts the layers of each stack of an encoder-decoder', () => {
  const applied = applyAdapter(make('t5', 'seq2seq-lm'), { type: 'pfeiffer', dropLayers: 3 })
  const paths = [...applied.trainable.keys()].map((path) => /(encoder|decoder)\.layers\.\d/.exec(path)?.[0])
  expect(new Set(paths)).toEqual(new Set(['encoder.layers.3', 'decoder.layers.3']))
})

it('writes a folder without the layers, of a stack too, with the files of its task', async () => {
  const base = make()
  await saveModel(base, at('base'))
  stir(applyAdapter(base, { type: 'pfeiffer', size: 3, trainHead: false }, { name: 'lang' }).trainable, 1)
  const task = applyAdapter(base, { type: 'lora' }, { name: 'task', below: ['lang'] })
  stir(task.trainable, 2)
  await saveAdapter(task, at('stack'), { base: at('base') })
  writeFileSync(join(at('stack'), 'task.json'), '{}')
  const { before, after } = await dropAdapterLayers({ adapter: at('stack'), layers: 2, out: at('less') })
  const bottlenecks = adaptersOf(base).tensorsOf('lang')
  expect(before - after).toBe([...bottlenecks.values()].reduce((sum, { size }) => sum + size, 0) / 2)
  expect(existsSync(join(at('less'), 'task.json'))).toBe(true)
  silence(bottlenecks, 2)
  expect(apart(logitsOf((await loadAdapter(at('less'))).model), logitsOf(base))).toBe(0)
})

it.each([
  ['lora', 1, /needs a bottleneck adapter, got lora/],
  ['pfeiffer', 4, /leaves an adapter in some, got 4/],
])('%s without %d layers is refused, and leaves nothing', async (type, layers, message) => {
  const base = make()
  await saveModel(base, at(`base-${type}`))
  await saveAdapter(applyAdapter(base, { type, trainHead: false } as never), at(`one-${type}`), {
    base: at(`base-${type}`),
  })
  const given = { adapter: at(`one-${type}`), layers, out: at('refused') }
  await expect(dropAdapterLayers(given)).rejects.toThrow(message)
  expect(existsSync(at('refused'))).toBe(false)
})

it('says what does not fit', async () => {
  expect(() => applyAdapter(make(), { type: 'pfeiffer', dropLayers: 4 })).toThrow(/fewer than 4 for `dropLayers`, the/)
  expect(() => applyAdapter(make(), { type: 'pfeiffer', dropLayers: -1 })).toThrow(/dropLayers/)
  const begin = (config: object) => () =>
    applyAdapter(make(), { type: 'pfeiffer', ...config }).beginTraining({ totalSteps: 1, parameters: new Map() })
  expect(begin({ randomDropLayers: 4 })).toThrow(/Expected 1 to 3 for `adapter.randomDropLayers`.* got 4/)
  expect(begin({ dropLayers: 2, randomDropLayers: 2 })).toThrow(/Expected 3 to 3/)
  expect(begin({ dropLayers: 2, randomDropLayers: 3 })).not.toThrow()
  expect(() => applyAdapter(make('albert'), { type: 'pfeiffer', dropLayers: 1 })).toThrow(/fewer than 1/)
  const model = make()
  for (const name of ['a', 'b']) applyAdapter(model, { type: 'pfeiffer' }, { name })
  applyAdapter(model, { type: 'fusion' }, { name: 'fused', below: ['a', 'b'] })
  expect(() => adaptersOf(model).dropLayers('a', 1)).toThrow(/fused uses a/)
  await expect(dropAdapterLayers({ adapter: at('base'), layers: 1, out: at('none') })).rejects.toThrow(/adapter_config/)
  await expect(dropAdapterLayers({ adapter: at('stack'), layers: 0, out: at('none') })).rejects.toThrow(/layers/)
})
