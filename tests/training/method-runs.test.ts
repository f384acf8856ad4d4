// Fine-tuning runs with methods that act between steps: what they leave, and that they resume to the bit.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openSafetensors } from '../../src/checkpoint/index.ts'
import { open } from '../../src/inference/index.ts'
import { finetune, planRun, pretrain, verifyResume } from '../../src/runs/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { isFull } from '../grid.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
let base: string
let file: string
const at = (name: string) => join(data.root, name)

beforeAll(async () => {
  data = await makeSmallData()
  base = at('base')
  await pretrain(smallRecipe(data, base, { budget: { steps: 8 } }))
  file = at('rows.jsonl')
  const rows = Array.from({ length: 120 }, (_, i) => {
    const telling = i % 2 === 0 ? 'green' : 'stone'
    const rest = ['the house', 'a river walks', 'old bird', 'rain and light'][i % 4]
    return JSON.stringify({ text: `${rest} ${telling} number ${i}`, label: i % 2 === 0 ? 'plant' : 'rock' })
  })
  writeFileSync(file, rows.join('\n'))
})
afterAll(() => data.dispose())

const recipe = (variant: string, out: string, more: object = {}) =>
  ({
    base,
    task: 'sequence-classification',
    data: file,
    variant,
    out: at(out),
    maxLength: 32,
    batch: { sequences: 16 },
    budget: { steps: 40 },
    learningRate: 0.01,
    ...more,
  }) as unknown as Parameters<typeof finetune>[0]

const steps = async (given: Parameters<typeof finetune>[0]) => {
  const events: TrainingEvent[] = []
  await finetune(given, { onEvent: (event) => events.push(event) })
  return events.flatMap((event) => (event.type === 'step' ? [event] : []))
}

describe('AdaLoRA', () => {
  it.each(isFull ? ['float32', 'bfloat16'] : ['bfloat16'])(
    'ends with the ranks of its budget in %s, and resumes to the bit',
    async (precision) => {
      const out = `adalora-${precision}`
      // Evaluated at the end only, as the best checkpoint may be one from before the ranks were reduced.
      const more = {
        precision,
        adapter: { initialRank: 4, targetRank: 2, alpha: 64 },
        evaluate: { steps: 40 },
        learningRate: 0.03,
      }
      const events = await steps(recipe('adalora', out, more))
      expect(events[0].terms).toHaveProperty('orthogonality')
      const fields = JSON.parse(readFileSync(join(at(out), 'model', 'adapter_config.json'), 'utf8')) as {
        rank_pattern: Record<string, boolean[]>
        total_step: number
      }
      const kept = Object.values(fields.rank_pattern).map((all) => all.filter((one) => one).length)
      expect(kept.reduce((sum, rank) => sum + rank)).toBe(2 * kept.length)
      expect(fields.total_step).toBe(40)
      const model = await open(at(out))
      expect(await model.classify('old bird green number 6')).toMatchObject({ label: 'plant' })
      model.close()
      expect(await verifyResume(at(out), { steps: 12 })).toMatchObject({ equal: true, different: [] })
    },
  )

  it('has the same penalty however a batch is split', async () => {
    const split = (name: string, microTokens: number) =>
      steps(recipe('adalora', name, { budget: { steps: 12 }, batch: { sequences: 16, microTokens } }))
    const [whole, parts] = [await split('whole', 8192), await split('parts', 32)]
    for (const [i, { loss, terms }] of whole.entries()) {
      expect(Math.abs(parts[i].loss - loss)).toBeLessThan(1e-4)
      expect(Math.abs((parts[i].terms?.orthogonality ?? 0) - (terms?.orthogonality ?? 1))).toBeLessThan(1e-4)
    }
  })

  it.each([
    [{ average: { method: 'exponential' } }, /cannot be averaged over steps/],
    [{ budget: { minutes: 1 } }, /needs a known number of steps/],
  ])('refuses %j', async (more, message) => {
    await expect(finetune(recipe('adalora', 'refused', more))).rejects.toThrow(message)
  })
})

describe('regularisation', () => {
  const small = { budget: { steps: 5 }, learningRate: 3e-3, untrainedBaseline: false }
  it.each([
    ['full', { mixout: 0.7 }],
    ['last-n-layers', { mixout: 0.5, adapter: { layers: 1 } }],
    ['full', { dropout: 0.3 }],
    ['lora', { dropout: 0 }],
    ['full', { fgmEpsilon: 0.5 }],
    ['lora', { fgmEpsilon: 0.5 }],
    ['full', { resample: 'sqrt' }],
  ])('%s with %j changes training, however a batch is split, and resumes to the bit', async (variant, more) => {
    const name = `${variant}-${Object.keys(more).join('-')}`
    const { adapter = {} } = more as { adapter?: object }
    const plain = await steps(recipe(variant, `${name}-plain`, { ...small, adapter }))
    const whole = await steps(recipe(variant, name, { ...small, ...more }))
    const batch = { sequences: 16, microTokens: 32 }
    const parts = await steps(recipe(variant, `${name}-parts`, { ...small, ...more, batch }))
    expect(whole.some(({ loss }, i) => Math.abs(loss - plain[i].loss) > 1e-6)).toBe(true)
    for (const [i, { loss }] of whole.entries()) expect(Math.abs(parts[i].loss - loss)).toBeLessThan(2e-4)
    expect('adversarial' in (whole[0].terms ?? {})).toBe('fgmEpsilon' in more)
    expect(await verifyResume(at(name), { steps: 2 })).toMatchObject({ equal: true, different: [] })
  })

  it('dropout is that of the setting, as if the files of the base had it, and is saved with the model', async () => {
    const without = at('base-without-dropout')
    cpSync(at('base/model'), without, { recursive: true })
    const config = JSON.parse(readFileSync(join(without, 'config.json'), 'utf8'))
    const none = { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 }
    writeFileSync(join(without, 'config.json'), JSON.stringify({ ...config, ...none }))
    const written = await steps(recipe('full', 'dropout-written', { ...small, base: without }))
    const given = await steps(recipe('full', 'dropout-given', { ...small, dropout: 0 }))
    expect(given.map(({ loss }) => loss)).toEqual(written.map(({ loss }) => loss))
    expect(JSON.parse(readFileSync(join(at('dropout-given'), 'model', 'config.json'), 'utf8'))).toMatchObject(none)
  })

  it.each([
    ['lora', { mixout: 0.5 }, /`mixout` has no effect with the variant lora, which trains no matrix of the base/],
    ['bitfit', { mixout: 0.5 }, /`mixout` has no effect with the variant bitfit/],
    ['full', { mixout: 0.5, randomInit: true }, /`mixout` needs pretrained weights to return to/],
    ['full', { resample: 'balanced', settings: { classWeights: 'balanced' } }, /would count rare classes twice/],
    ['full', { resample: 'balanced', settings: { multiLabel: true, label: 'label' } }, /needs a task with one class/],
    ['feature-based', { dropout: 0.5 }, /Expected no `dropout` with the variant feature-based/],
    ['feature-based', { mixout: 0.5 }, /Expected no `mixout` with the variant feature-based/],
    ['feature-based', { resample: 'sqrt' }, /Expected no `resample` with the variant feature-based/],
  ])('%s with %j is refused', async (variant, more, message) => {
    const { learningRate: _, ...rest } = recipe(variant, 'refused-too', more)
    const given = variant === 'feature-based' ? { ...rest, budget: {}, batch: {} } : rest
    await expect(finetune(given as never)).rejects.toThrow(message)
  })
})

it.each([
  ['full', { updateInBackward: 'one-pass', maxGradientNorm: 0 }],
  ['pfeiffer', { updateInBackward: 'two-pass', adapter: { size: 4 } }],
])('%s with %j updates within the backward pass, and resumes to the bit', async (variant, more) => {
  const small = { budget: { steps: 6 }, learningRate: 3e-3, untrainedBaseline: false }
  const { updateInBackward, ...rest } = more
  const plain = await steps(recipe(variant, `${updateInBackward}-plain`, { ...small, ...rest }))
  const inside = await steps(recipe(variant, updateInBackward, { ...small, ...more }))
  for (const [i, { loss }] of inside.entries()) expect(Math.abs(loss - plain[i].loss)).toBeLessThan(1e-5)
  expect(await verifyResume(at(updateInBackward), { steps: 3 })).toMatchObject({ equal: true, different: [] })
  await expect(finetune(recipe(variant, 'refused-inside', { ...small, ...more, fgmEpsilon: 0.5 }))).rejects.toThrow(
    /remove `fgmEpsilon`/,
  )
})

it('resampling gives each class its share of an epoch, and the prior of a new head', async () => {
  const uneven = at('uneven.jsonl')
  const rows = Array.from({ length: 100 }, (_, i) =>
    JSON.stringify({ text: `${i % 10 === 0 ? 'green' : 'stone'} number ${i}`, label: i % 10 === 0 ? 'plant' : 'rock' }),
  )
  writeFileSync(uneven, rows.join('\n'))
  const noted = async (resample: string) => {
    const notes: string[] = []
    const given = { data: uneven, validation: uneven, resample, budget: { steps: 2 } }
    await finetune(recipe('full', `uneven-${resample}`, given), { onNote: (line) => notes.push(line) })
    return notes.find((line) => line.startsWith('An epoch is'))
  }
  expect(await noted('balanced')).toBe(
    'An epoch is 100 examples: 50 % plant (each example 5 times), 50 % rock (each example 0.556 times).',
  )
  expect(await noted('sqrt')).toBe(
    'An epoch is 100 examples: 25 % plant (each example 2.5 times), 75 % rock (each example 0.833 times).',
  )
})

describe('a stack', () => {
  const small = { budget: { steps: 6 }, untrainedBaseline: false }
  beforeAll(async () => {
    const language = { adapter: { trainHead: true, size: 6 }, priorBias: false }
    await finetune(recipe('pfeiffer', 'language', { ...small, ...language }))
  })

  it('is trained at its top, resumes to the bit, and opens as one model', async () => {
    const more = { ...small, budget: { steps: 30 }, stack: [at('language')], adapter: { rank: 4 }, learningRate: 0.02 }
    await finetune(recipe('lora', 'task', more))
    const model = at('task/model')
    expect(JSON.parse(readFileSync(join(model, 'adapter_config.json'), 'utf8')).tunesmith).toEqual({
      adapters: ['language', 'default'],
    })
    const weights = (folder: string) => openSafetensors(join(folder, 'adapter_model.safetensors'))
    const [below, alone] = [await weights(join(model, 'language')), await weights(at('language/model'))]
    expect([...below.tensors.keys()].sort()).toEqual([...alone.tensors.keys()].sort())
    for (const key of alone.tensors.keys()) expect(below.tensor(key).equal(alone.tensor(key)), key).toBe(true)
    const opened = await open(at('task'))
    expect(await opened.classify('old bird green number 6')).toMatchObject({ label: 'plant' })
    opened.close()
    expect(await verifyResume(at('task'), { steps: 4 })).toMatchObject({ equal: true, different: [] })
  })

  it('has a task adapter on an invertible one (MAD-X), each resumed to the bit and planned', async () => {
    const madx = { ...small, adapter: { size: 6, invertible: true, invertibleReduction: 4 } }
    await finetune(recipe('pfeiffer', 'madx', madx))
    expect(await verifyResume(at('madx'), { steps: 3 })).toMatchObject({ equal: true, different: [] })
    const upon = { ...small, stack: [at('madx')], adapter: { size: 5 } }
    await finetune(recipe('pfeiffer', 'upon', upon))
    expect(await verifyResume(at('upon'), { steps: 3 })).toMatchObject({ equal: true, different: [] })
    const { rows } = await planRun({ command: 'finetune', ...recipe('pfeiffer', 'planned', madx) } as never, {})
    const tensors = await openSafetensors(join(at('madx/model'), 'adapter_model.safetensors'))
    const own = [...tensors.tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
    expect(rows[0]).toMatchObject({ trainedParameters: own })
  })

  it('is trained without the adapters of a random number of layers, which depends on seed and step alone', async () => {
    const deep = at('deep')
    const model = { type: 'bert', preset: 'test', config: { numLayers: 3 } }
    await pretrain(smallRecipe(data, deep, { model, budget: { steps: 4 } }))
    const most = { ...small, base: deep, budget: { steps: 8 }, adapter: { size: 6, randomDropLayers: 2 } }
    const plain = await steps(recipe('pfeiffer', 'whole-adapter', { ...most, adapter: { size: 6 } }))
    const whole = await steps(recipe('pfeiffer', 'random-drop', most))
    const parts = await steps(
      recipe('pfeiffer', 'random-drop-parts', { ...most, batch: { sequences: 16, microTokens: 32 } }),
    )
    const other = await steps(recipe('pfeiffer', 'random-drop-seed', { ...most, seed: 5 }))
    const losses = (of: typeof plain) => of.map(({ loss }) => loss)
    expect(losses(whole)).not.toEqual(losses(plain))
    expect(losses(whole)).not.toEqual(losses(other))
    for (const [i, { loss }] of whole.entries()) expect(Math.abs(parts[i].loss - loss)).toBeLessThan(2e-4)
    expect(await verifyResume(at('random-drop'), { steps: 3 })).toMatchObject({ equal: true, different: [] })
  })

  it('is fused: adapters stay as they are, the regularisation is a term of the loss, and it resumes to the bit', async () => {
    await finetune(recipe('houlsby', 'other', { ...small, adapter: { size: 5 } }))
    const more = { ...small, stack: [at('language'), at('other')], evaluate: { steps: 6 } }
    const events = await steps(recipe('fusion', 'fused', more))
    expect(events[0].terms).toHaveProperty('fusionRegularization')
    const read = (name: string) => JSON.parse(readFileSync(join(at(name), 'model', 'adapter_config.json'), 'utf8'))
    expect(read('fused').tunesmith).toEqual({ adapters: ['language', 'other', 'default'] })
    expect(await verifyResume(at('fused'), { steps: 2 })).toMatchObject({ equal: true, different: [] })
    await expect(finetune(recipe('fusion', 'one', { ...small, stack: [at('other')] }))).rejects.toThrow(
      /name two or more in `stack`, got other/,
    )
  })

  it.each([
    ['lora', { stack: ['base'] }, /folders of adapters for `stack`, got .*base without adapter_config.json/],
    ['full', { stack: ['language'] }, /`stack` needs a variant beside the base, got full/],
    ['prompt-tuning', { stack: ['language'] }, /methods that can be active together, got prompt-tuning/],
    ['feature-based', { stack: ['language'] }, /Expected no `stack` with the variant feature-based/],
  ])('%s with %j is refused', async (variant, { stack }, message) => {
    const { learningRate: _, ...rest } = recipe(variant, 'refused-stack', { ...small, stack: stack.map(at) })
    const given = variant === 'feature-based' ? { ...rest, budget: {}, batch: {} } : rest
    await expect(finetune(given as never)).rejects.toThrow(message)
  })
})
