// Merges of whole models against an independent NumPy reference (make-merge-golden.py), and through the folder that loads again.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModel, saveModel } from '../../src/checkpoint/index.ts'
import { averageModels, mergeModels } from '../../src/export/index.ts'
import { mergeMethods, mergeParameter } from '../../src/export/merge/merge-methods.ts'
import type { Model } from '../../src/models/index.ts'
import { Generator, noGrad, Tensor, zeros } from '../../src/tensor/index.ts'
import { trainTokenizer } from '../../src/tokenizers/index.ts'
import { difference, oddModel } from './onnx-fixture.ts'

const golden = JSON.parse(readFileSync(new URL('merge-golden.json', import.meta.url), 'utf8')) as {
  shape: number[]
  base: number[]
  models: number[][]
  weights: number[]
  [method: string]: unknown
}
const tensorOf = (values: number[]) => Tensor.from(Float32Array.from(values), { shape: golden.shape })
const method = (type: string) => mergeMethods.find((one) => one.type === type)!
const [base, ...models] = [golden.base, ...golden.models].map(tensorOf)
const settings = { weights: golden.weights, density: 0.5, scale: 1, seed: 1 }
const merged = (type: string, changes: Partial<typeof settings> = {}, tensors = models): Float32Array =>
  mergeParameter(method(type), { name: 'w', tensors, base }, { ...settings, ...changes }).toFloat32Array()

describe('a parameter', () => {
  it.each([
    ['linear', {}, models],
    ['slerp', { weights: [0.7, 0.3] }, models.slice(0, 2)],
    ['task-arithmetic', { scale: 0.8 }, models],
    ['ties', {}, models],
  ] as const)('is merged by %s as in the reference', (type, changes, tensors) => {
    expect(difference(merged(type, changes as object, [...tensors]), golden[type] as number[])).toBeLessThan(1e-6)
  })

  it('is interpolated on a line by slerp where both are nearly parallel, or zero', () => {
    const twice = base.mul(2)
    expect(
      difference(merged('slerp', { weights: [1, 1] }, [base, twice]), base.mul(1.5).toFloat32Array()),
    ).toBeLessThan(1e-6)
    const zero = base.mul(0)
    expect(Math.max(...merged('slerp', { weights: [1, 1] }, [zero, zero]))).toBe(0)
  })

  it('is the same where it is so large that ties combines it some rows at a time', () => {
    const shape = [3000, 1500]
    const make = (seed: number) => zeros(shape).normal_(0, 1, { generator: new Generator(seed) })
    const [start, ...tensors] = [1, 2, 3].map(make)
    const options = { weights: [1, 0.5], density: 1, scale: 1, seed: 1 }
    const ties = (rows: (tensor: Tensor) => Tensor) =>
      mergeParameter(method('ties'), { name: 'w', tensors: tensors.map(rows), base: rows(start) }, options)
    const whole = ties((tensor) => tensor)
    for (const from of [0, 1000, 2000]) {
      const part = ties((tensor) => tensor.narrow(0, from, 1000))
      expect(
        part
          .sub(whole.narrow(0, from, 1000))
          .abs()
          .max()
          .item(),
      ).toBe(0)
    }
  })

  it('loses random elements by dare, the others scaled up, by the seed', () => {
    const [one] = models
    const size = 40_000
    const wide = Tensor.from(new Float32Array(size).fill(0.5), { shape: [200, 200] })
    const dared = (seed: number, density = 0.25) =>
      mergeParameter(
        method('dare'),
        { name: 'w', tensors: [wide], base: wide.mul(0) },
        { weights: [1], density, scale: 1, seed },
      ).toFloat32Array()
    const first = dared(1)
    expect(new Set(first)).toEqual(new Set([0, 2]))
    expect(first.filter((x) => x !== 0).length / size).toBeCloseTo(0.25, 1)
    expect(dared(1)).toEqual(first)
    expect(dared(2)).not.toEqual(first)
    expect(difference(merged('dare', { weights: [1], density: 1 }, [one]), one.toFloat32Array())).toBeLessThan(1e-6)
    const all = merged('ties', { density: 1 })
    expect(difference(merged('dare-ties', { density: 1 }), all)).toBe(0)
  })
})

describe('mergeModels', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'merge-'))
  afterAll(() => rmSync(scratch, { recursive: true, force: true }))
  const at = (name: string) => join(scratch, name)

  const save = async (name: string, factor: number, vocabSize = 300, tokenizer = 'tokenizer'): Promise<Model> => {
    const model = oddModel('llama', 'causal-lm', { vocabSize })
    noGrad(() => {
      for (const parameter of model.parameters().values()) parameter.mul_(factor)
    })
    await saveModel(model, at(name), { tokenizer: at(tokenizer) })
    return model
  }
  const train = async (name: string, text: string) => {
    const { files } = await trainTokenizer(Array(50).fill(text), { type: 'bpe', vocabSize: 280 }, { workers: 1 })
    mkdirSync(at(name))
    for (const [file, content] of Object.entries(files)) writeFileSync(join(at(name), file), content)
  }
  beforeAll(async () => {
    await train('tokenizer', 'The cat sat on the mat.')
    await train('other-tokenizer', 'Whole models become one model.')
    await save('base', 1)
    await save('a', 1.2)
    await save('b', 1.6)
    await save('wide', 1, 310)
    await save('foreign', 1, 300, 'other-tokenizer')
  })

  it('writes a folder that loads, with a card, and the same bytes twice', async () => {
    for (const out of ['linear-1', 'linear-2'])
      await mergeModels({ models: [at('a'), at('b')], method: 'linear', weights: [3, 1], out: at(out) })
    const [model, original] = [await loadModel(at('linear-1')), await loadModel(at('base'))]
    for (const [name, parameter] of model.parameters()) {
      const wanted = original.parameters().get(name)!.mul(1.3).toFloat32Array()
      expect(difference(parameter.toFloat32Array(), wanted)).toBeLessThan(1e-6)
    }
    expect(existsSync(join(at('linear-1'), 'tokenizer.json'))).toBe(true)
    const card = readFileSync(join(at('linear-1'), 'README.md'), 'utf8')
    expect(card).toContain('a, b merged by linear')
    expect(card).not.toContain(scratch)
    const bytes = (name: string) => readFileSync(join(at(name), 'model.safetensors'))
    expect(bytes('linear-1').equals(bytes('linear-2'))).toBe(true)
  })

  it('averages models, and the newest checkpoints of a run', async () => {
    const name = 'body.layers.0.mlp.upProj.weight'
    const original = (await loadModel(at('base'))).parameters().get(name)!
    const factorOf = async (out: string) => {
      const { model } = { model: await loadModel(at(out)) }
      return model.parameters().get(name)!.sum().item() / original.sum().item()
    }
    await averageModels({ models: [at('a'), at('b'), at('base')], out: at('mean') })
    expect(await factorOf('mean')).toBeCloseTo((1.2 + 1.6 + 1) / 3, 4)
    for (const [step, factor] of [
      [10, 5],
      [20, 2],
      [30, 3],
    ])
      await save(`run/checkpoints/step-000000${step}/model`, factor)
    const run = at('run')
    const { models: used } = await averageModels({ models: [run], last: 2, weights: [3, 1], out: at('newest') })
    expect(used.map((path) => path.replace(`${run}/`, ''))).toEqual(
      ['30', '20'].map((step) => `checkpoints/step-000000${step}/model`),
    )
    expect(await factorOf('newest')).toBeCloseTo((3 * 3 + 2) / 4, 4)
    await expect(averageModels({ models: [run], last: 4, out: at('four') })).rejects.toThrow(
      /Expected a run with 4 checkpoints for `last`, got .*run with 3/,
    )
    await expect(averageModels({ models: [at('a')], out: at('one') })).rejects.toThrow(/two or more models/)
    expect(existsSync(at('four')) || existsSync(at('one'))).toBe(false)
  })

  it('takes one tokenizer in another layout, or with another padding, for the same', async () => {
    await save('laid-out', 3)
    const path = at('laid-out/tokenizer.json')
    const json = JSON.parse(readFileSync(path, 'utf8')) as object
    writeFileSync(path, JSON.stringify({ ...json, truncation: { max_length: 128 }, padding: {} }, null, 4))
    await mergeModels({ models: [at('a'), at('laid-out')], method: 'linear', out: at('same-tokens') })
    expect(existsSync(at('same-tokens/model.safetensors'))).toBe(true)
  })

  it('adds differences to the base', async () => {
    const input = { models: [at('a'), at('b')], base: at('base'), out: at('arithmetic') }
    await mergeModels({ ...input, method: 'task-arithmetic', weights: [1, 0.5] })
    const [model, original] = [await loadModel(at('arithmetic')), await loadModel(at('base'))]
    const name = 'body.layers.0.mlp.upProj.weight'
    const [got, wanted] = [model, original].map((one) => one.parameters().get(name)!)
    expect(difference(got.toFloat32Array(), wanted.mul(1.5).toFloat32Array())).toBeLessThan(1e-6)
  })

  it.each([
    [{ models: ['a', 'wide'], method: 'linear' }, /one architecture and size.*wide.*\[310/],
    [{ models: ['a', 'foreign'], method: 'linear' }, /one tokenizer\.json.*foreign/],
    [{ models: ['a'], method: 'linear' }, /two or more models/],
    [{ models: ['a', 'b', 'a'], method: 'slerp' }, /Expected 2 models for slerp, got 3: .*a, .*b, .*a\./],
    [{ models: ['a', 'b'], method: 'ties' }, /set `base`/],
    [{ models: ['a', 'b'], method: 'linear', base: 'base' }, /`base` has no effect/],
    [{ models: ['a', 'b'], method: 'linear', density: 0.5 }, /`density` has no effect/],
    [{ models: ['a', 'b'], method: 'linear', weights: [1] }, /a weight for each of 2/],
    [{ models: ['a', 'b'], method: 'linear', weights: [1, -1] }, /sum is not 0/],
    [{ models: ['a', 'b'], method: 'mean' }, /method/],
  ] as const)('refuses %j', async (input, words) => {
    const { models, ...rest } = input
    const given = { ...rest, models: models.map(at), ...('base' in rest ? { base: at(rest.base) } : {}) }
    const out = at('refused')
    await expect(mergeModels({ ...(given as unknown as Parameters<typeof mergeModels>[0]), out })).rejects.toThrow(
      words,
    )
    expect(existsSync(out)).toBe(false)
  })
})
