// Several adapters on one base: switching, stacking, averaging, heads of their own, and memory.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { adaptersOf, applyAdapter, loadAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { buildModel, type HeadType, type Model, models } from '../../src/models/index.ts'
import { DropoutMasks, withDropout } from '../../src/nn/index.ts'
import { parameterGroups } from '../../src/optim/index.ts'
import { Generator, noGrad, type Tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { apart, ids, logitsOf, stir } from './outputs.ts'

const scratch = mkdtempSync(join(tmpdir(), 'adapters-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const make = (type: 'bert' | 'gpt2' | 'llama', head: HeadType, labels = ['a', 'b', 'c']): Model => {
  const definition = models[type] as (typeof models)['bert']
  return buildModel(definition as never, definition.adjust(definition.presets.test, {}), head, { labels })
    .initialize({ std: 0.2, generator: new Generator(1) })
    .to({ device: testDevice })
    .eval()
}

describe('several adapters on one base', () => {
  it('are switched by name with bit-identical outputs and one copy of the base', () => {
    const model = make('bert', 'sequence-classification')
    const bank = adaptersOf(model)
    const weight = model.parameters().get('body.layers.0.attention.qProj.weight')
    const before = logitsOf(model)
    const kinds = [
      { type: 'lora' },
      { type: 'ia3' },
      { type: 'houlsby' },
      { type: 'bitfit' },
      { type: 'last-n-layers', layers: 1 },
      { type: 'prefix-tuning', virtualTokens: 2 },
      { type: 'prompt-tuning', virtualTokens: 2 },
      { type: 'linear-probe' },
    ] as const
    const given = kinds.map((config, i) => {
      const applied = applyAdapter(model, config, { name: config.type, seed: i })
      stir(applied.trainable, i)
      return { name: config.type, logits: logitsOf(model) }
    })
    expect(bank.names).toEqual(kinds.map(({ type }) => type))
    for (const { name, logits } of [...given].reverse()) {
      expect(apart(logitsOf(bank.activate(name)), logits), name).toBe(0)
      expect(bank.active).toEqual([name])
    }
    expect(apart(logitsOf(bank.activate(undefined)), before)).toBe(0)
    expect(model.parameters().get('body.layers.0.attention.qProj.weight')).toBe(weight)
    expect(() => bank.activate('lroa')).toThrow(/lora/)
    expect(() => bank.activate(['lora', 'prefix-tuning'])).toThrow(/works alone/)
    expect(() => applyAdapter(model, { type: 'full' }, { name: 'all' })).toThrow(/changes the base itself/)
    // A refusal leaves what was active before.
    expect(apart(logitsOf(bank.activate('ia3')), given[1].logits)).toBe(0)
  })

  it('stack: the changes of two LoRAs add up', () => {
    const model = make('llama', 'causal-lm')
    const bank = adaptersOf(model)
    const path = 'body.layers.0.attention.qProj.weight'
    const deltas = ['a', 'b'].map((name, seed) => {
      const applied = applyAdapter(model, { type: 'lora', targets: ['qProj'], rank: 3 }, { name, seed })
      stir(applied.trainable, seed)
      bank.activate(undefined)
      const plain = model.parameters().get(path)
      applied.merge()
      return noGrad(() =>
        model
          .parameters()
          .get(path)
          ?.sub(plain as Tensor),
      ) as Tensor
    })
    const both = logitsOf(bank.activate(['a', 'b'], { merged: [] }))
    expect(bank.active).toEqual(['a', 'b'])
    const merged = logitsOf(bank.activate(['a', 'b'], { merged: ['a', 'b'] }))
    expect(apart(both, merged)).toBeLessThan(1e-5)
    const plain = bank.activate(undefined, { merged: [] }).parameters().get(path) as Tensor
    bank.activate(['a', 'b'], { merged: ['a', 'b'] })
    const sum = noGrad(() => plain.add(deltas[0]).add(deltas[1]))
    expect(apart(model.parameters().get(path)?.toFloat32Array() ?? [], sum.toFloat32Array())).toBeLessThan(1e-6)
  })

  it.each(['bert', 'llama'] as const)(
    'has one answer of DoRA on %s, alone or upon an adapter that changes nothing',
    (type) => {
      const model = make(type, 'sequence-classification')
      const bank = adaptersOf(model)
      // Fresh: its B is zero. Upon it, DoRA cannot take the layer's output for the product.
      applyAdapter(model, { type: 'lora', trainHead: false }, { name: 'nothing', seed: 1 })
      const config = { type: 'lora', dora: true, trainHead: false } as const
      const dora = applyAdapter(model, config, { name: 'dora', seed: 2 })
      const before = logitsOf(model)
      stir(dora.trainable, 3)
      const gradients = () => {
        for (const value of dora.trainable.values()) value.grad = undefined
        const { logits } = model.forward({ inputIds: ids })
        logits.square().sum().backward()
        return [...dora.trainable].map(([path, { grad }]) => [path, grad?.toFloat32Array() ?? []] as const)
      }
      const alone = { logits: logitsOf(model), gradients: gradients() }
      bank.activate(['nothing', 'dora'])
      expect(apart(logitsOf(model), alone.logits)).toBeLessThan(1e-5)
      expect(apart(alone.logits, before)).toBeGreaterThan(0.01)
      for (const [i, [path, values]] of gradients().entries()) {
        const wanted = alone.gradients[i][1]
        expect(values.length, path).toBeGreaterThan(0)
        const most = Math.max(...Array.from(wanted, Math.abs), 1e-6)
        expect(apart(values, wanted) / most, path).toBeLessThan(1e-4)
      }
    },
  )

  it('are averaged: LoRA as the mean of the changes, other methods by their values', () => {
    const model = make('gpt2', 'sequence-classification')
    const bank = adaptersOf(model)
    const path = 'body.layers.1.attention.vProj.weight'
    const changed = ['a', 'b'].map((name, seed) => {
      const applied = applyAdapter(model, { type: 'lora', rank: 2 + seed, alpha: 3 + seed }, { name, seed })
      stir(applied.trainable, seed)
      applied.merge()
      return model.parameters().get(path) as Tensor
    })
    const heads = ['a', 'b'].map(
      (name) => bank.activate(name, { merged: [] }).parameters().get('head.classifier.weight') as Tensor,
    )
    bank.average('soup', [
      { name: 'a', weight: 0.25 },
      { name: 'b', weight: 0.75 },
    ])
    bank.activate('soup', { merged: ['soup'] })
    const mean = (parts: Tensor[]) => noGrad(() => parts[0].mul(0.25).add(parts[1].mul(0.75)).toFloat32Array())
    expect(apart(model.parameters().get(path)?.toFloat32Array() ?? [], mean(changed))).toBeLessThan(1e-6)
    expect(apart(model.parameters().get('head.classifier.weight')?.toFloat32Array() ?? [], mean(heads))).toBeLessThan(
      1e-6,
    )
    bank.activate(undefined, { merged: [] })
    for (const [seed, name] of ['c', 'd'].entries())
      stir(applyAdapter(model, { type: 'pfeiffer' }, { name }).trainable, seed)
    const entry = bank.average('mixed', ['c', 'd'])
    const [c, d, mixed] = ['c', 'd', 'mixed'].map((name) => [...bank.tensorsOf(name).values()])
    mixed.forEach((value, i) => {
      expect(value.allclose(noGrad(() => c[i].add(d[i]).div(2)))).toBe(true)
    })
    expect(entry.copies.size).toBeGreaterThan(0)
    expect(() => bank.average('odd', ['a', 'c'])).toThrow(/of one method/)
    expect(bank.names).not.toContain('odd')
  })

  it('are averaged only if they have the same layers, also from an initial text or a file', async () => {
    const model = make('bert', 'sequence-classification')
    const bank = adaptersOf(model)
    const add = (name: string, config: object, seed = 0) => {
      const applied = applyAdapter(model, config as never, { name, encode: () => [5, 6, 7] })
      stir(applied.trainable, seed)
      return applied
    }
    add('narrow', { type: 'lora', targets: ['qProj'] })
    add('wide', { type: 'lora', targets: ['qProj', 'vProj'] })
    const without = add('headless', { type: 'lora', targets: ['qProj'], trainHead: false })
    add('dora', { type: 'lora', targets: ['qProj'], dora: true })
    expect(() => bank.average('odd', ['narrow', 'wide'])).toThrow(/but wide has one at .*vProj/)
    expect(() => bank.average('odd', ['wide', 'narrow'])).toThrow(/but narrow has none at .*vProj/)
    expect(() => bank.average('odd', ['headless', 'narrow'])).toThrow(/but narrow has one at head\./)
    expect(() => bank.average('odd', ['narrow', 'dora'])).toThrow(/without DoRA/)
    expect(bank.names).not.toContain('odd')

    const prefixes = ['p', 'q'].map((name, seed) => {
      const config = { type: 'prefix-tuning', virtualTokens: 2, initialText: 'words', trainHead: false }
      return [...add(name, config, seed).trainable.values()][0]
    })
    bank.average('prefix', ['p', 'q'])
    const [mean] = bank.tensorsOf('prefix').values()
    expect(mean.allclose(noGrad(() => prefixes[0].add(prefixes[1]).div(2)))).toBe(true)

    // Files of PEFT do not say whether a head belongs to them: this one brings none.
    await saveAdapter(without, join(scratch, 'headless'), { base: 'base' })
    rmSync(join(scratch, 'headless', 'tunesmith.json'))
    for (const name of ['one', 'two']) await loadAdapter(join(scratch, 'headless'), { base: model, name })
    bank.average('both', ['one', 'two'])
    expect(apart(logitsOf(bank.activate('both')), logitsOf(bank.activate('headless')))).toBeLessThan(1e-5)
  })

  it('take the random numbers of dropout from the batch, whatever else is active', () => {
    const model = make('bert', 'sequence-classification')
    const bank = adaptersOf(model)
    applyAdapter(model, { type: 'bitfit', trainHead: false }, { name: 'biases' })
    const lora = applyAdapter(model, { type: 'lora', dropout: 0.5, trainHead: false }, { name: 'lora' })
    stir(lora.trainable, 1)
    for (const active of [['lora'], ['biases', 'lora'], ['lora', 'biases']]) {
      bank.activate(active)
      model.train()
      const drawn = (seed: number) => withDropout(new DropoutMasks(new Generator(seed)), () => logitsOf(model))
      expect(apart(drawn(1), drawn(1)), active.join()).toBe(0)
      expect(apart(drawn(1), drawn(2)), active.join()).toBeGreaterThan(0)
    }
  })

  it('can have heads of their own over one body', async () => {
    const sizes = { few: ['x', 'y'], many: ['p', 'q', 'r', 's'] }
    const expected: Record<string, Float32Array> = {}
    for (const [name, labels] of Object.entries(sizes)) {
      const model = make('bert', 'sequence-classification', labels)
      const applied = applyAdapter(model, { type: 'lora' }, { seed: labels.length })
      stir(applied.trainable, labels.length)
      expected[name] = logitsOf(model)
      await saveAdapter(applied, join(scratch, name), { base: 'base' })
    }
    const tagger = make('bert', 'token-classification', ['O', 'B'])
    const tagging = applyAdapter(tagger, { type: 'ia3' })
    stir(tagging.trainable, 8)
    expected.tags = logitsOf(tagger)
    await saveAdapter(tagging, join(scratch, 'tags'), { base: 'base' })

    const base = make('bert', 'masked-lm')
    const plain = logitsOf(base)
    const opened = new Map<string, Model>()
    for (const name of Object.keys(expected))
      opened.set(name, (await loadAdapter(join(scratch, name), { base, name })).model)
    const bank = adaptersOf(base)
    for (const name of ['many', 'tags', 'few', 'many']) {
      const model = bank.activate(name)
      expect(model).toBe(opened.get(name))
      expect(model.body).toBe(base.body)
      expect(apart(logitsOf(model), expected[name]), name).toBe(0)
    }
    expect(opened.get('many')?.headOptions.labels).toEqual(sizes.many)
    expect(apart(logitsOf(bank.activate(undefined)), plain)).toBe(0)
  })

  it('scale the learning rate of B alone for LoRA+', () => {
    const applied = applyAdapter(make('bert', 'sequence-classification'), { type: 'lora', loraPlusRatio: 16 })
    const scales = [...applied.trainable.keys()].map((path) => [path, applied.learningRateScale(path)] as const)
    expect(scales.filter(([path]) => path.endsWith('.b')).every(([, scale]) => scale === 16)).toBe(true)
    expect(scales.filter(([path]) => !path.endsWith('.b')).every(([, scale]) => scale === 1)).toBe(true)
    const config = { weightDecay: 0, decayVectors: false, decayEmbeddings: false, layerDecay: 1 }
    const groups = parameterGroups(config, applied.trainable, {
      learningRateScale: (path) => applied.learningRateScale(path),
    })
    expect(new Map(groups.map(({ learningRateScale, paths }) => [learningRateScale, paths.length]))).toEqual(
      new Map([
        [1, scales.filter(([, scale]) => scale === 1).length],
        [16, scales.filter(([, scale]) => scale === 16).length],
      ]),
    )
  })

  it('share A for layers that are fused in the files of the base', () => {
    const model = make('gpt2', 'causal-lm')
    const { trainable } = applyAdapter(model, { type: 'lora', targets: ['qProj', 'vProj'] })
    expect([...trainable.keys()].filter((path) => path.endsWith('.a')).length).toBe(2)
    expect([...trainable.keys()].filter((path) => path.endsWith('.b')).length).toBe(4)
  })

  it('write the default size of a bottleneck into their files, and read files without it', async () => {
    const wide = buildModel(
      models.bert,
      models.bert.adjust(models.bert.presets.test, { hiddenSize: 384, numHeads: 12, numLayers: 1 }),
      'masked-lm',
    )
      .initialize({ std: 0.2, generator: new Generator(1) })
      .to({ device: testDevice })
    const sizes = [wide, make('bert', 'masked-lm')].map((model) => {
      const { config } = applyAdapter(model, { type: 'parallel' })
      return [model.facts.hiddenSize, (config as { size: number }).size]
    })
    expect(sizes).toEqual([
      [384, 64],
      [32, 8],
    ])
    const applied = applyAdapter(wide, { type: 'pfeiffer', size: 24 }, { name: 'old' })
    stir(applied.trainable, 3)
    const before = logitsOf(wide)
    const folder = join(scratch, 'sized')
    await saveAdapter(applied, folder, { base: 'b' })
    for (const [file, at] of [
      ['adapter_config.json', 'tunesmith'],
      ['tunesmith.json', 'config'],
    ]) {
      const fields = JSON.parse(readFileSync(join(folder, file), 'utf8'))
      expect(fields[at].size).toBe(24)
      delete fields[at].size
      writeFileSync(join(folder, file), JSON.stringify(fields))
    }
    const { model } = await loadAdapter(folder, { base: wide, name: 'again' })
    expect(apart(logitsOf(model), before)).toBe(0)
  })

  it('are refused with a reason if they do not fit', async () => {
    const model = make('llama', 'causal-lm')
    expect(() => applyAdapter(model, { type: 'lora', targets: ['qproj' as never] })).toThrow(/qProj/)
    expect(() => applyAdapter(make('bert', 'masked-lm'), { type: 'lora', targets: ['gateProj'] })).toThrow(/upProj/)
    expect(() => applyAdapter(model, { type: 'lora', rnak: 2 } as never)).toThrow(/rank/)
    expect(() => applyAdapter(model, { type: 'lora' }, { name: 'a.b' })).toThrow(/new name/)
    applyAdapter(model, { type: 'lora' })
    expect(() => applyAdapter(model, { type: 'lora' })).toThrow(/taken/)
    expect(() => applyAdapter(model, { type: 'houlsby' }, { name: 'h' }).merge()).toThrow(/can be merged, got houlsby/)
    await saveAdapter(applyAdapter(make('llama', 'causal-lm'), { type: 'lora', rank: 4 }), join(scratch, 'wide'), {
      base: 'b',
    })
    await expect(loadAdapter(join(scratch, 'wide'), { base: make('bert', 'masked-lm') })).rejects.toThrow(
      /no dense|does not have|Expected/,
    )
  })
})
