// Fine-tuning that begins with an adapter or a run: the adapter is trained further or merged, with its head where that predicts the same.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadAdapter } from '../../src/adapters/index.ts'
import { evaluate, loadForInference } from '../../src/inference/index.ts'
import { finetune, multitask, pretrain, verifyResume } from '../../src/runs/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { apart, logitsOf } from '../adapters/outputs.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
let base: string
const at = (name: string) => join(data.root, name)

/** Texts whose class one word gives away. */
const writeRows = (name: string, classes: Record<string, string>, count = 120) => {
  const words = Object.keys(classes)
  const rest = ['the house', 'a river walks', 'old bird', 'rain and light', 'small sleeps']
  const row = (i: number) => {
    const word = words[i % words.length]
    return JSON.stringify({ text: `${rest[i % 5]} ${word} number ${i}`, label: classes[word] })
  }
  writeFileSync(at(name), Array.from({ length: count }, (_, i) => row(i)).join('\n'))
}

const recipe = (out: string, more: object = {}) =>
  ({
    base,
    task: 'sequence-classification',
    data: at('two.jsonl'),
    validation: at('dev.jsonl'),
    variant: 'lora',
    out: at(out),
    maxLength: 32,
    batch: { sequences: 16 },
    budget: { steps: 2 },
    schedule: { type: 'constant' },
    learningRate: 1e-4,
    ...more,
  }) as unknown as Parameters<typeof finetune>[0]

const run = async (out: string, more: object = {}) => {
  const events: TrainingEvent[] = []
  const notes: string[] = []
  await finetune(recipe(out, more), {
    onEvent: (event) => events.push(event),
    onNote: (note) => notes.push(note),
  })
  const evaluation = JSON.parse(readFileSync(join(at(out), 'model', 'evaluation.json'), 'utf8')) as {
    references: { name: string; metrics: Record<string, { value: number }> }[]
  }
  const steps = events.flatMap((event) => (event.type === 'step' ? [event] : []))
  const untrained = evaluation.references.find(({ name }) => name === 'untrained base')?.metrics.accuracy.value
  return { steps, untrained, notes: notes.join('\n') }
}

const accuracyOf = async (model: string, task?: string) => {
  const { metrics } = await evaluate({ model, data: [at('dev.jsonl')], ...(task === undefined ? {} : { task }) })
  return (metrics as Record<string, { value: number }>).accuracy
}

/** The largest difference of the adapter tensors in the body of two folders. */
const movedInBody = async (before: string, after: string) => {
  const [old, own] = await Promise.all([before, after].map((folder) => loadAdapter(at(`${folder}/model`))))
  const differences = [...own.applied.trainable].flatMap(([path, tensor]) => {
    if (!path.includes('.adapters.')) return []
    const other = old.applied.trainable.get(path)?.toFloat32Array() ?? []
    return [...tensor.toFloat32Array()].map((value, i) => Math.abs(value - other[i]))
  })
  expect(differences.length).toBeGreaterThan(0)
  return Math.max(...differences)
}

beforeAll(async () => {
  data = await makeSmallData()
  base = at('base')
  await pretrain(smallRecipe(data, base, { budget: { steps: 8 } }))
  const two = { green: 'plant', stone: 'rock' }
  writeRows('two.jsonl', two)
  writeRows('dev.jsonl', two, 20)
  writeRows('three.jsonl', { green: 'plant', stone: 'rock', bird: 'animal' })
  await run('first', { budget: { steps: 100 }, evaluate: { steps: 100 }, learningRate: 0.01 })
})
afterAll(() => data.dispose())

describe('an adapter as base', () => {
  it('is trained further with its head by the same variant, and resumes to the bit', async () => {
    const first = await accuracyOf(at('first'))
    expect(first.value).toBeGreaterThan(0.9)
    const { steps, notes, untrained } = await run('further', { base: at('first') })
    expect(untrained).toBe(first.value)
    expect(steps[0].loss).toBeLessThan(0.35)
    expect(notes).toMatch(
      /Opened the adapter .*first\/model on .*the model of step \d+ of its run: .*further.*with its head/,
    )
    expect(notes).not.toMatch(/randomly initialised/)
    const config = JSON.parse(readFileSync(join(at('further'), 'model', 'adapter_config.json'), 'utf8')) as object
    expect(config).toMatchObject({ base_model_name_or_path: join(base, 'model') })
    const moved = await movedInBody('first', 'further')
    expect(moved).toBeGreaterThan(0)
    expect(moved).toBeLessThan(1e-3)
    expect((await accuracyOf(at('further'))).value).toBe(first.value)
    expect(await verifyResume(at('further'), { steps: 2 })).toMatchObject({ equal: true, different: [] })
  })

  it('is merged where the variant trains the base itself, with its head', async () => {
    const { steps, notes, untrained } = await run('merged', { base: at('first'), variant: 'full', learningRate: 1e-6 })
    expect(notes).toMatch(/merged into the base, which this run trains, with its head/)
    expect(untrained).toBe((await accuracyOf(at('first'))).value)
    expect(steps[0].loss).toBeLessThan(0.35)
    const { model, report } = await loadForInference({ model: at('merged') })
    expect(report.newHead).toEqual([])
    const adapted = await loadForInference({ model: at('first') })
    // Two updates at a rate of 1e-6.
    expect(apart(logitsOf(model), logitsOf(adapted.model))).toBeLessThan(1e-3)
  })

  it('gets a new head for other labels, and for a new head that is asked for', async () => {
    const other = await run('three', { base: at('first'), data: at('three.jsonl'), validation: undefined })
    expect(other.notes).toMatch(/The head is new and randomly initialised/)
    expect(other.notes).not.toMatch(/with its head/)
    expect(await movedInBody('first', 'three')).toBeLessThan(1e-3)
    const { model } = await loadForInference({ model: at('three') })
    expect(model.headOptions.labels).toEqual(['animal', 'plant', 'rock'])
    const renewed = await run('renewed', { base: at('first'), newHead: true })
    expect(renewed.notes).toMatch(/The head is new/)
    expect(renewed.steps[0].loss).toBeGreaterThan(0.5)
    const merged = await run('three-full', {
      base: at('first'),
      data: at('three.jsonl'),
      validation: undefined,
      variant: 'full',
    })
    expect(merged.notes).toMatch(/The head is new/)
  })

  it('serves several tasks: the one that predicts as it did begins with its head', async () => {
    const {
      newHead: _,
      task: __,
      data: ___,
      validation: ____,
      ...shared
    } = recipe('tasks', {
      base: at('first'),
    }) as unknown as Record<string, unknown>
    await multitask({
      ...shared,
      tasks: {
        kinds: { type: 'sequence-classification', data: at('three.jsonl') },
        tone: { type: 'sequence-classification', data: at('two.jsonl'), validation: at('dev.jsonl') },
      },
    } as unknown as Parameters<typeof multitask>[0])
    const [before, after] = [await accuracyOf(at('first')), await accuracyOf(at('tasks'), 'tone')]
    expect(after.value).toBe(before.value)
  })

  it('is refused for what it cannot begin', async () => {
    const fault = (more: object) => finetune(recipe('wrong', { base: at('first'), ...more }))
    await expect(fault({ variant: 'ia3' })).rejects.toThrow(/Expected lora for `variant`/)
    await expect(fault({ adapter: { rank: 4 } })).rejects.toThrow(/no `adapter` settings.*got rank/)
    await expect(fault({ randomInit: true })).rejects.toThrow(/`randomInit` needs a whole model/)
    await expect(fault({ stack: [at('first')] })).rejects.toThrow(/`stack` needs a whole model/)
    await expect(
      fault({
        variant: 'feature-based',
        batch: undefined,
        budget: undefined,
        schedule: undefined,
        learningRate: undefined,
      }),
    ).rejects.toThrow(/feature-based needs a whole model.*export .*--to merged/)
  })
})

describe('a run as base', () => {
  it('says which model was opened', async () => {
    const { notes } = await run('of-run')
    expect(notes).toMatch(/Opened .*base\/model for `base`, the model of step \d+ of its run\./)
    const { notes: named } = await run('of-model', { base: join(base, 'model') })
    expect(named).not.toMatch(/Opened/)
  })
})
