// MAD-X's invertible adapters: what they change in all architectures, in logits, losses and generation, and their files.
// Values are compared with the package `adapters` in composition.test.ts.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  type AdapterInput,
  adapterRouting,
  adaptersOf,
  applyAdapter,
  loadAdapter,
  saveAdapter,
} from '../../src/adapters/index.ts'
import { GenerationScheduler, generate } from '../../src/generation/index.ts'
import { buildModel, type HeadType, type LanguageHead, type Model, models } from '../../src/models/index.ts'
import { vocabularyLoss } from '../../src/objectives/index.ts'
import { Generator, noGrad, type Tensor, tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { apart, ids, logitsOf, stir } from './outputs.ts'

const scratch = mkdtempSync(join(tmpdir(), 'invertible-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const at = (name: string) => join(scratch, name)

const make = (type: keyof typeof models, head: HeadType, size: Record<string, unknown> = {}): Model => {
  const definition = models[type] as (typeof models)['bert']
  const config = definition.adjust(definition.presets.test, size)
  return buildModel(definition as never, config, head, { labels: ['a', 'b'] })
    .initialize({ std: 0.2, generator: new Generator(1) })
    .to({ device: testDevice })
    .eval()
}
const madx: AdapterInput = { type: 'pfeiffer', size: 3, invertible: true, invertibleReduction: 4 }

interface Invertible {
  change(input: Tensor): Tensor
  undo(input: Tensor): Tensor
}

/** Puts an adapter on a model of which only the invertible part has learned something. */
const addLearned = (model: Model, name = 'lang', seed = 3) => {
  const applied = applyAdapter(model, madx, { name })
  stir(new Map([...applied.trainable].filter(([path]) => path.startsWith('body.dropout.'))), seed)
  const { placements } = adaptersOf(model).get(name).attachment
  const layer = placements.find(({ path }) => path === 'body.dropout')?.adapter as unknown as Invertible
  return { applied, layer }
}
const floats = (compute: () => Tensor) => noGrad(() => compute().toFloat32Array())

describe.each([
  ['bert', 'masked-lm', {}],
  ['bert', 'sentence-pretraining', { hiddenSize: 36, numHeads: 4 }],
  ['electra', 'masked-lm', {}],
  ['albert', 'masked-lm', { embeddingSize: 15 }],
  ['deberta-v2', 'masked-lm', {}],
  ['modernbert', 'masked-lm', {}],
  ['gpt2', 'causal-lm', {}],
  ['gpt-neox', 'causal-lm', {}],
  ['llama', 'causal-lm', {}],
  ['gemma2', 'causal-lm', {}],
] as const)('%s with %s and %j', (type, head, size) => {
  it('starts as no change, changes both ends, and has one loss in all forms', async () => {
    const model = make(type, head, size)
    const base = logitsOf(model)
    const plain = make(type, head, size).head as unknown as LanguageHead
    const words = model.head as unknown as LanguageHead
    const hiddenOf = () => noGrad(() => model.bodyForward({ inputIds: ids }).hidden)
    const before = hiddenOf()
    const start = applyAdapter(model, madx, { name: 'start' })
    expect(apart(logitsOf(model), base)).toBe(0)
    start.remove()

    const { applied, layer } = addLearned(model)
    const hidden = hiddenOf()
    expect(
      apart(
        floats(() => hidden),
        floats(() => before),
      ),
    ).toBeGreaterThan(1e-3)
    const prepared = noGrad(() => plain.prepare(hidden))
    const logits = floats(() => words.logits(words.prepare(hidden)))
    expect(
      apart(
        logits,
        floats(() => plain.logits(layer.undo(prepared))),
      ),
    ).toBe(0)
    expect(
      apart(
        logits,
        floats(() => plain.logits(prepared)),
      ),
    ).toBeGreaterThan(1e-3)
    expect(apart(logitsOf(model), logits)).toBe(0)
    const scale = Math.max(...floats(() => prepared.abs()))
    expect(
      apart(
        floats(() => layer.change(layer.undo(prepared))),
        floats(() => prepared),
      ),
    ).toBeLessThan(1e-5 * scale)

    // Losses read the matrix and what is prepared, and never have the logits.
    const labels = ids.flatten()
    const loss = noGrad(() => vocabularyLoss(words, hidden.flatten(0, 1), labels).sum.item())
    const scored = () => words.forward({ hidden }).flatten(0, 1).logSoftmax(-1).gather(1, labels.unsqueeze(1)).sum()
    expect(-loss / noGrad(() => scored().item())).toBeCloseTo(1, 5)

    const folder = at(`${type}-${head}`)
    await saveAdapter(applied, folder, { base: 'somewhere' })
    const again = await loadAdapter(folder, { base: make(type, head, size) })
    expect(apart(logitsOf(again.model), logits)).toBe(0)
    again.applied.remove()
    expect(apart(logitsOf(again.model), base)).toBe(0)
  })
})

it('every tensor has a gradient, as an embedding that is packed, padded or recomputed has', () => {
  const [model, again] = [make('gpt2', 'causal-lm'), make('gpt2', 'causal-lm')]
  const gradients = [model, again].map((one, i) => {
    const { trainable } = addLearned(one).applied
    stir(trainable, 5)
    const inputs =
      i === 0
        ? { inputIds: ids }
        : { inputIds: ids.reshape([1, 6]), starts: tensor([0, 3, 6], { dtype: 'int64' }), recompute: 2 }
    one.forward(inputs).logits.reshape([6, -1]).square().sum().backward()
    return [...trainable].map(([path, { grad }]) => [path, grad as Tensor] as const)
  })
  for (const [i, [path, gradient]] of gradients[0].entries()) {
    const values = gradient.toFloat32Array()
    expect(Math.max(...values.map(Math.abs)), path).toBeGreaterThan(0)
    expect(apart(values, gradients[1][i][1].toFloat32Array()), path).toBeLessThan(
      1e-4 * Math.max(...values.map(Math.abs)),
    )
  }
})

it('a task adapter on a language adapter keeps both ends, whatever its head', async () => {
  const model = make('bert', 'masked-lm')
  addLearned(model)
  const below = logitsOf(model)
  const task = applyAdapter(model, { type: 'pfeiffer', size: 4 }, { name: 'task', below: ['lang'] })
  expect(apart(logitsOf(model), below)).toBe(0)
  stir(task.trainable, 7)
  const both = logitsOf(model)
  await saveAdapter(task, at('stack'), { base: 'somewhere' })
  expect(apart(logitsOf((await loadAdapter(at('stack'), { base: make('bert', 'masked-lm') })).model), both)).toBe(0)
  // Two of them: the upper one is undone first.
  const upper = applyAdapter(model, madx, { name: 'upper', below: ['lang'] })
  stir(new Map([...upper.trainable].filter(([path]) => path.startsWith('body.dropout.'))), 9)
  const [lang, top] = ['lang', 'upper'].map(
    (name) => adaptersOf(model).get(name).attachment.placements.at(-2)?.adapter as unknown as Invertible,
  )
  const hidden = noGrad(() => model.bodyForward({ inputIds: ids }).hidden)
  const plain = make('bert', 'masked-lm').head as unknown as LanguageHead
  expect(
    apart(
      logitsOf(model),
      floats(() => plain.logits(lang.undo(top.undo(plain.prepare(hidden))))),
    ),
  ).toBe(0)

  // Of a language adapter that was trained with a language head, a classifier uses the embeddings.
  const classifier = make('bert', 'sequence-classification')
  await saveAdapter(addLearned(make('bert', 'masked-lm')).applied, at('language'), { base: 'somewhere' })
  const untouched = logitsOf(classifier)
  const loaded = await loadAdapter(at('language'), { base: classifier, head: 'sequence-classification' })
  const changed = logitsOf(loaded.model)
  expect(apart(changed, untouched)).toBeGreaterThan(1e-3)
  expect(apart(changed, logitsOf(addLearned(make('bert', 'sequence-classification')).applied.model))).toBe(0)
})

it('is generated with, with and without a cache, and beside others', async () => {
  const model = make('llama', 'causal-lm')
  addLearned(model, 'one', 3)
  addLearned(model, 'two', 4)
  const output = applyAdapter(model, { type: 'lora', targets: ['lmHead'] }, { name: 'output' })
  stir(output.trainable, 5)
  const prompts = [[5, 6, 7], [8, 9], [20]]
  const names = ['one', 'two', 'output', null]
  const alone = []
  for (const name of names) {
    adaptersOf(model).activate(name ?? [])
    const write = async (useCache: boolean) =>
      (await generate(model, undefined, prompts, { maxNewTokens: 10, useCache, padTokenId: 0 })).map(({ ids: out }) => [
        ...out,
      ])
    const cached = await write(true)
    expect(await write(false)).toEqual(cached)
    alone.push(cached)
  }
  expect(new Set(alone.map((texts) => texts.join('|'))).size).toBe(4)
  // Output layers see some tokens only, in another order than those of the batch.
  for (const name of ['one', 'output']) expect(adaptersOf(model).canMix(name)).toBe(false)
  const scheduler = new GenerationScheduler(model, { adapters: adapterRouting(model), maxRows: 4 })
  const requests = names.flatMap((adapter) =>
    prompts.map((prompt) => scheduler.submit({ prompt, adapter, options: { maxNewTokens: 10 } }).result),
  )
  const results = await Promise.all(requests)
  expect(results.map(({ ids: out }) => [...out])).toEqual(alone.flat())
  scheduler.free()
})

it('stays where layers are dropped', () => {
  const [model, whole] = [make('bert', 'masked-lm'), make('bert', 'masked-lm')]
  const [{ applied }] = [model, whole].map((one) => addLearned(one))
  applied.dropLayers(1)
  // The bottlenecks added nothing.
  expect(apart(logitsOf(model), logitsOf(whole))).toBe(0)
  expect([...applied.trainable.keys()].some((path) => path.startsWith('body.dropout.'))).toBe(true)
  expect(() => applied.dropLayers(2)).toThrow(/leaves an adapter in some, got 2/)
})

it('says what it cannot do', () => {
  const model = make('bert', 'masked-lm')
  const { applied } = addLearned(model)
  expect(() => applied.merge()).toThrow(/Expected an adapter that can be merged, got pfeiffer/)
  applyAdapter(model, { type: 'pfeiffer' }, { name: 'plain' })
  expect(() => applyAdapter(model, { type: 'fusion' }, { name: 'f', below: ['lang', 'plain'] })).toThrow(
    /adapters without an invertible one, .* got lang/,
  )
  expect(() => applyAdapter(make('t5', 'seq2seq-lm'), madx)).toThrow(/one stack of layers, got t5/)
  expect(() => applyAdapter(make('bart', 'seq2seq-lm'), { ...madx, type: 'parallel' } as never)).toThrow(/got bart/)
  const reduction = { type: 'houlsby', invertibleReduction: 2 } as const
  expect(() => applyAdapter(model, reduction, { name: 'r' })).toThrow(/needs `adapter.invertible`/)
  expect(() => applyAdapter(model, { ...madx, invertibleReduction: 0.5 } as never)).toThrow(/invertibleReduction/)
})
