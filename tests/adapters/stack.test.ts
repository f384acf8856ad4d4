// Adapters that stand on others: one is trained on frozen ones, is active with them, and is stored with them.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adaptersOf, applyAdapter, loadAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { saveModel } from '../../src/checkpoint/index.ts'
import { stackAdapters } from '../../src/export/index.ts'
import { buildModel, type HeadType, type Model, models } from '../../src/models/index.ts'
import { Generator, noGrad, tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { apart, ids, logitsOf, stir } from './outputs.ts'

const scratch = mkdtempSync(join(tmpdir(), 'stack-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const at = (name: string) => join(scratch, name)

const make = (type: 'bert' | 'llama', head: HeadType, size: Record<string, unknown> = {}): Model => {
  const definition = models[type] as (typeof models)['bert']
  const options = { labels: ['a', 'b', 'c'] }
  return buildModel(definition as never, definition.adjust(definition.presets.test, size), head, options)
    .initialize({ std: 0.2, generator: new Generator(1) })
    .to({ device: testDevice })
    .eval()
}

describe.each(['pfeiffer', 'lora', 'ia3', 'bitfit'] as const)('an adapter on a frozen %s', (type) => {
  it('is trained alone, gives what both give, and is stored with it', async () => {
    const model = make('bert', 'sequence-classification')
    const bank = adaptersOf(model)
    const base = logitsOf(model)
    const lang = applyAdapter(model, { type, trainHead: false }, { name: 'lang' })
    stir(lang.trainable, 1)
    const below = logitsOf(model)
    const task = applyAdapter(model, { type: 'lora' }, { name: 'task', below: ['lang'] })
    expect(apart(logitsOf(model), below)).toBe(0)
    expect(task.below).toEqual(['lang'])
    expect([bank.active, bank.stackOf('task')]).toEqual([['task'], ['lang', 'task']])

    const requiring = [...model.parameters()].filter(([, { requiresGrad }]) => requiresGrad)
    expect(new Set(requiring.map(([, value]) => value))).toEqual(new Set(task.trainable.values()))
    const frozen = [...lang.trainable.values()].map((value) => value.toFloat32Array())
    model.forward({ inputIds: ids }).logits.square().sum().backward()
    for (const value of task.trainable.values()) expect(value.grad).toBeDefined()
    stir(task.trainable, 2)
    for (const [i, value] of [...lang.trainable.values()].entries())
      expect(apart(value.toFloat32Array(), frozen[i])).toBe(0)
    const both = logitsOf(model)
    expect(apart(both, below)).toBeGreaterThan(1e-3)
    expect(apart(logitsOf(bank.activate('lang')), below)).toBe(0)
    expect(apart(logitsOf(task.enableStart()), below)).toBe(0)
    expect(apart(logitsOf(bank.activate(['lang', 'task'])), both)).toBe(0)
    expect(apart(logitsOf(task.enable(false)), base)).toBe(0)

    const folder = at(`both-${type}`)
    await saveAdapter(task, folder, { base: 'somewhere' })
    const fields = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'))
    expect(fields).toMatchObject({ peft_type: 'TUNESMITH_STACK', tunesmith: { adapters: ['lang', 'task'] } })
    const again = await loadAdapter(folder, { base: make('bert', 'sequence-classification'), name: 'x' })
    expect(apart(logitsOf(again.model), both)).toBe(0)
    const { bank: other } = again.applied
    expect([other.names, other.stackOf('x')]).toEqual([['x'], ['x-lang', 'x']])
    // Each of them is a folder of its own, as PEFT opens it where it has the method.
    const alone = await loadAdapter(join(folder, 'lang'), { base: make('bert', 'sequence-classification') })
    expect(apart(logitsOf(alone.model), below)).toBe(0)
    // Saved again, parts keep their names, and a copy has the same ones below it.
    await saveAdapter(again.applied, at(`again-${type}`), { base: 'somewhere' })
    expect(readFileSync(join(at(`again-${type}`), 'adapter_config.json'), 'utf8')).toContain('"lang"')
    other.duplicate('x', 'copy')
    expect(apart(logitsOf(other.activate('copy')), both)).toBe(0)
    other.remove('x')
    expect(apart(logitsOf(other.activate('copy')), both)).toBe(0)
    other.remove('copy')
    expect(() => other.get('x-lang')).toThrow(/it has none/)
    expect(apart(logitsOf(make('bert', 'sequence-classification')), base)).toBe(0)
    expect(() => bank.remove('lang')).toThrow(/remove task first/)
  })
})

it('a stack keeps the head that an adapter below it was trained with', async () => {
  const model = make('bert', 'sequence-classification')
  stir(applyAdapter(model, { type: 'linear-probe' }, { name: 'probe' }).trainable, 1)
  const [alone, own] = [logitsOf(model), [...adaptersOf(model).tensorsOf('probe')]]
  const upon = applyAdapter(model, { type: 'lora' }, { name: 'upon', below: ['probe'] })
  // It begins with the values of the head below it.
  expect(apart(logitsOf(model), alone)).toBe(0)
  stir(upon.trainable, 2)
  const bank = adaptersOf(model)
  for (const [path, value] of own) expect(bank.tensorsOf('probe').get(path), path).toBe(value)
  await saveAdapter(upon, at('heads'), { base: 'somewhere' })
  const again = await loadAdapter(join(at('heads'), 'probe'), { base: make('bert', 'sequence-classification') })
  expect(apart(logitsOf(again.model), alone)).toBe(0)
})

describe('fusion', () => {
  const fused = (more: object = {}) => {
    const model = make('llama', 'causal-lm')
    for (const [seed, name] of ['a', 'b', 'c'].entries())
      stir(applyAdapter(model, { type: seed === 2 ? 'parallel' : 'houlsby', size: 3 }, { name }).trainable, seed)
    const given = { type: 'fusion', ...more } as const
    return { model, applied: applyAdapter(model, given, { name: 'fused', below: ['a', 'b', 'c'] }) }
  }

  it('uses adapters of several places side by side, and is stored with them', async () => {
    const { model, applied } = fused()
    stir(applied.trainable, 5)
    const logits = logitsOf(model)
    expect([...applied.trainable.keys()].every((path) => /\.(query|key|value)\./.test(path))).toBe(true)
    await saveAdapter(applied, at('fused'), { base: 'somewhere' })
    const again = await loadAdapter(at('fused'), { base: make('llama', 'causal-lm') })
    expect(apart(logitsOf(again.model), logits)).toBe(0)
    again.applied.remove()
    expect(apart(logitsOf(again.model), logitsOf(make('llama', 'causal-lm')))).toBe(0)
    const bank = adaptersOf(model)
    const copy = bank.duplicate('fused', 'copy')
    expect(apart(logitsOf(bank.activate('copy')), logits)).toBe(0)
    expect(copy.below).toEqual(['a', 'b', 'c'])
    // In a batch with one that it uses and another adapter.
    const one = tensor(BigInt64Array.from([5, 6, 7], BigInt), { shape: [1, 3], device: testDevice })
    const names = ['fused', 'a', null]
    const alone = names.map((name) =>
      bank.using(name, (used) => noGrad(() => used.forward({ inputIds: one }).logits.toFloat32Array())),
    )
    const inputIds = tensor(
      BigInt64Array.from(
        names.flatMap(() => [5, 6, 7]),
        BigInt,
      ),
      { shape: [1, 9], device: testDevice },
    )
    const segments = names.map((name, i) => ({ name, from: i * 3, count: 3 }))
    const starts = tensor([0, 3, 6, 9], { dtype: 'int64' })
    const mixed = bank.routed(segments, (used) => noGrad(() => used.forward({ inputIds, starts }).logits))
    for (const [i, wanted] of alone.entries())
      expect(apart(mixed.narrow(1, i * 3, 3).toFloat32Array(), wanted)).toBeLessThan(1e-5)
  })

  it('has no value matrix and no term of the loss where it is told so', () => {
    const { applied } = fused({ value: false })
    expect([...applied.trainable.keys()].some((path) => path.includes('value'))).toBe(false)
    expect(applied.beginTraining({ totalSteps: 1, parameters: applied.trainable })).toEqual({})
  })

  it('says what it does not take', () => {
    const { model, applied } = fused()
    applyAdapter(model, { type: 'lora' }, { name: 'lora' })
    applyAdapter(model, { type: 'pfeiffer' }, { name: 'upon', below: ['a'] })
    const add = (type: 'fusion' | 'lora', below: string[]) => () =>
      applyAdapter(model, { type } as never, { name: 'new', below })
    expect(() => applied.merge()).toThrow(/can be merged, got fusion/)
    expect(add('fusion', ['a'])).toThrow(/name two or more in `stack`, got a/)
    expect(add('fusion', [])).toThrow(/got none/)
    expect(add('fusion', ['a', 'lora'])).toThrow(/needs bottleneck adapters .*got lora for lora/)
    expect(add('fusion', ['a', 'upon'])).toThrow(/got upon, which stands on others/)
    expect(add('lora', ['fused'])).toThrow(/cannot stand on fused, which combines adapters by fusion/)
    expect(() => adaptersOf(model).remove('a')).toThrow(/remove fused, upon first/)
  })
})

it('a stack is merged where each of its adapters can be, and names the one that cannot', () => {
  const model = make('llama', 'causal-lm')
  const lora = applyAdapter(model, { type: 'lora', rank: 2 }, { name: 'first' })
  stir(lora.trainable, 1)
  const second = applyAdapter(model, { type: 'ia3' }, { name: 'second', below: ['first'] })
  stir(second.trainable, 2)
  const both = logitsOf(model)
  second.merge()
  expect(lora.merged && second.merged).toBe(true)
  expect([...model.parameters().keys()].some((path) => path.includes('adapters'))).toBe(false)
  expect(apart(logitsOf(model), both)).toBeLessThan(1e-4)
  second.unmerge()
  expect(apart(logitsOf(model), both)).toBe(0)
  stir(applyAdapter(model, { type: 'houlsby' }, { name: 'bottleneck' }).trainable, 3)
  const upon = applyAdapter(model, { type: 'lora' }, { name: 'upon', below: ['bottleneck'] })
  expect(() => upon.merge()).toThrow(/can be merged, got houlsby/)
})

it('stacks share a batch with other adapters, and give what they give alone', () => {
  const model = make('llama', 'causal-lm')
  const bank = adaptersOf(model)
  stir(applyAdapter(model, { type: 'pfeiffer', size: 4 }, { name: 'lang' }).trainable, 1)
  stir(applyAdapter(model, { type: 'lora', rank: 2 }, { name: 'task', below: ['lang'] }).trainable, 2)
  stir(applyAdapter(model, { type: 'pfeiffer', size: 3 }, { name: 'upon', below: ['task'] }).trainable, 3)
  stir(applyAdapter(model, { type: 'lora', rank: 3 }, { name: 'other' }).trainable, 4)
  expect(bank.stackOf('upon')).toEqual(['lang', 'task', 'upon'])
  const rows = ['upon', null, 'task', 'other', 'lang']
  expect(rows.every((name) => name === null || bank.canMix(name))).toBe(true)
  const one = tensor(BigInt64Array.from([5, 6, 7], BigInt), { shape: [1, 3], device: testDevice })
  const alone = rows.map((name) =>
    bank.using(name, (used) => noGrad(() => used.forward({ inputIds: one }).logits.toFloat32Array())),
  )
  const inputIds = tensor(
    BigInt64Array.from(
      rows.flatMap(() => [5, 6, 7]),
      BigInt,
    ),
    { shape: [1, 15], device: testDevice },
  )
  const starts = tensor([0, 3, 6, 9, 12, 15], { dtype: 'int64' })
  const segments = rows.map((name, i) => ({ name, from: i * 3, count: 3 }))
  const mixed = bank.routed(segments, (used) => noGrad(() => used.forward({ inputIds, starts }).logits))
  for (const [i, wanted] of alone.entries())
    expect(apart(mixed.narrow(1, i * 3, 3).toFloat32Array(), wanted), String(rows[i])).toBeLessThan(1e-5)
  expect(new Set(alone.map((values) => values.join())).size).toBe(5)
})

describe('a folder with a stack', () => {
  const expected = new Map<string, Float32Array>()
  beforeAll(async () => {
    const base = make('bert', 'sequence-classification')
    await saveModel(base, at('base'))
    await saveModel(base, at('copy'))
    await saveModel(make('bert', 'sequence-classification', { hiddenSize: 48, numHeads: 4 }), at('wide'))
    const save = async (name: string, config: object, on: string[] = [], where = 'base') => {
      const applied = applyAdapter(base, config as never, { name, below: on })
      stir(applied.trainable, name.length)
      await saveAdapter(applied, at(name), { base: at(where) })
      if (on.length > 0) writeFileSync(join(at(name), 'task.json'), '{}')
    }
    await save('english', { type: 'pfeiffer', trainHead: false })
    await save('swahili', { type: 'lora', trainHead: false })
    await save('sentiment', { type: 'lora', rank: 2 }, ['english'])
    await save('moved', { type: 'ia3', trainHead: false }, [], 'copy')
    await save('prompt', { type: 'prompt-tuning', virtualTokens: 2, trainHead: false })
    const bank = adaptersOf(base)
    expected.set('english-sentiment', logitsOf(bank.activate(['english', 'sentiment'])))
    // The task adapter on another language than that it was trained on.
    const swahili = (await loadAdapter(at('swahili'), { base, name: 'lowest' })).applied.name
    await loadAdapter(join(at('sentiment'), 'sentiment'), { base, name: 'upon', below: [swahili] })
    expected.set('swahili-sentiment', logitsOf(bank.activate('upon')))
    bank.activate([])
  })
  const opened = async (folder: string) => logitsOf((await loadAdapter(folder)).model)

  it('names its base where that was moved, and what to do', async () => {
    const copy = at('orphan')
    cpSync(at('english'), copy, { recursive: true })
    const file = join(copy, 'adapter_config.json')
    const fields = JSON.parse(readFileSync(file, 'utf8'))
    writeFileSync(file, JSON.stringify({ ...fields, base_model_name_or_path: at('gone') }))
    await expect(loadAdapter(copy)).rejects.toThrow(
      /the base of the adapter `.*orphan`, found nothing at `.*gone`\. .*set `base_model_name_or_path` in .*orphan.adapter_config/,
    )
    writeFileSync(file, JSON.stringify(fields))
    expect((await loadAdapter(copy)).applied.name).toBe('default')
  })

  it('opens as it was trained, and the task adapter can get another one below it', async () => {
    expect(apart(await opened(at('sentiment')), expected.get('english-sentiment')!)).toBe(0)
    const out = at('swapped')
    const made = await stackAdapters({ adapters: [at('swahili'), at('sentiment')], topOnly: true, out })
    expect(made.adapters).toEqual(['swahili', 'sentiment'])
    expect(existsSync(join(out, 'task.json'))).toBe(true)
    expect(apart(await opened(out), expected.get('swahili-sentiment')!)).toBe(0)
    const all = await stackAdapters({ adapters: [at('swahili'), at('sentiment')], out: at('three') })
    expect(all.adapters).toEqual(['swahili', 'english', 'sentiment'])
  })

  it.each([
    [['english'], {}, /two or more adapters to stack, got 1/],
    [['english', 'nothing'], {}, /nothing/],
    [['english', 'base'], {}, /base without adapter_config.json/],
    [['english', 'moved'], {}, /adapters of one base to stack, got english on .*base and moved on .*copy/],
    [['english', 'swahili'], { base: 'wide' }, /of another shape/],
    [['english', 'prompt'], {}, /got prompt-tuning for .*, which works alone/],
    [['english', 'swahili'], { topOnly: true }, /`topOnly` needs a stack as the last adapter/],
    [['english', 'swahili'], { topOnyl: true }, /topOnly/],
  ])('%j with %j is refused, and leaves nothing', async (names, more, message) => {
    const given = { ...more, ...('base' in more ? { base: at(more.base as string) } : {}) }
    await expect(stackAdapters({ adapters: names.map(at), out: at('refused'), ...given })).rejects.toThrow(message)
    expect(existsSync(at('refused'))).toBe(false)
  })

  it('is of one base where both are copies of one model', async () => {
    await stackAdapters({ adapters: [at('english'), at('moved')], base: at('copy'), out: at('joined') })
    await expect(stackAdapters({ adapters: [at('english'), at('moved')], out: at('joined') })).rejects.toThrow(
      /does not exist for `out`/,
    )
  })

  it('with a part that is missing is refused', async () => {
    rmSync(join(at('three'), 'english'), { recursive: true })
    await expect(opened(at('three'))).rejects.toThrow(/three\/english: Expected an adapter with adapter_config.json/)
  })

  it('needs adapters that are there', () => {
    const model = make('bert', 'sequence-classification')
    applyAdapter(model, { type: 'lora' }, { name: 'lang' })
    expect(() => applyAdapter(model, { type: 'lora' }, { name: 'task', below: ['lnag'] })).toThrow(
      /got "lnag". Did you mean `lang`/,
    )
    expect(() => applyAdapter(model, { type: 'prefix-tuning' }, { name: 'p', below: ['lang'] })).toThrow(
      /methods that can be active together, got prefix-tuning for p/,
    )
  })
})
