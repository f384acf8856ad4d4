// Every command that trains, in float16 on the strict device: it learns, records its loss scale, and resumes to the bit from a checkpoint
// that has the scale and its counters.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { align, finetune, multitask, planRun, pretrain, type RunListener, verifyResume } from '../../src/runs/index.ts'
import { enableStrictDevice } from '../../src/tensor/index.ts'
import type { StepEvent } from '../../src/tracking/index.ts'
import { makeSmallAlignment, pairRows, type SmallAlignment } from '../alignment/small-alignment.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

enableStrictDevice()

let data: SmallData
let small: SmallAlignment
let base: string
const at = (name: string) => join(data.root, name)
/** The first steps overflow, and the scale grows again. */
const float16 = {
  precision: 'float16',
  device: 'strict',
  lossScale: { initial: 2 ** 26, growthInterval: 3 },
  checkpoint: { steps: 4 },
}

beforeAll(async () => {
  data = await makeSmallData()
  base = at('base')
  await pretrain(smallRecipe(data, base, { budget: { steps: 8 }, device: 'cpu' }))
  const rows = Array.from({ length: 60 }, (_, i) => {
    const [telling, label] = i % 2 === 0 ? ['green', 'plant'] : ['stone', 'rock']
    return JSON.stringify({
      text: `${['the house', 'a river walks', 'old bird'][i % 3]} ${telling} number ${i}`,
      label,
    })
  })
  writeFileSync(at('rows.jsonl'), rows.join('\n'))
  small = await makeSmallAlignment()
  small.rows('pairs.jsonl', pairRows(48))
})
afterAll(() => {
  data.dispose()
  small.dispose()
})

const expectTrained = async (folder: string, train: (listener: RunListener) => Promise<unknown>) => {
  const steps: StepEvent[] = []
  const incidents: string[] = []
  await train({
    onEvent: (event) => {
      if (event.type === 'step') steps.push(event)
      if (event.type === 'incident') incidents.push(event.kind)
    },
  })
  const scales = steps.map(({ metrics }) => metrics?.lossScale ?? Number.NaN)
  const skipped = steps.at(-1)?.metrics?.skippedSteps as number
  expect(scales[0]).toBe(2 ** 26)
  expect(skipped).toBeGreaterThan(0)
  expect(skipped).toBeLessThan(steps.length - 4)
  expect(incidents.filter((kind) => kind === 'overflow')).toHaveLength(skipped)
  expect(steps.every(({ loss }) => Number.isFinite(loss))).toBe(true)
  expect(Math.min(...steps.slice(-4).map(({ loss }) => loss))).toBeLessThan(steps[0].loss)
  const names = readdirSync(join(folder, 'checkpoints')).filter((one) => one.startsWith('step-'))
  const name = names.sort().at(-1) as string
  const state = JSON.parse(readFileSync(join(folder, 'checkpoints', name, 'state.json'), 'utf8'))
  expect(state.lossScale).toEqual({ scale: expect.any(Number), sound: expect.any(Number), skipped })
  expect(readFileSync(join(folder, 'report.html'), 'utf8')).toContain('skippedSteps')
  expect(await verifyResume(folder, { steps: 4 })).toMatchObject({ equal: true, different: [] })
}

it('pretrain', () => {
  const out = at('pretrain')
  const recipe = smallRecipe(data, out, { ...float16, budget: { steps: 24 } })
  return expectTrained(out, (listener) => pretrain(recipe, listener))
})

const tuning = () => ({
  ...{ base, data: at('rows.jsonl'), maxLength: 32, batch: { sequences: 8 }, learningRate: 0.01 },
  ...float16,
})

it.each(['full', 'lora', 'adalora'])('finetune, %s', (variant) => {
  const out = at(variant)
  const recipe = { ...tuning(), task: 'sequence-classification', variant, out, budget: { steps: 24 } }
  return expectTrained(out, (listener) => finetune(recipe as unknown as Parameters<typeof finetune>[0], listener))
})

it('multitask', () => {
  const out = at('multitask')
  const { data: rows, ...common } = tuning()
  const task = { type: 'sequence-classification', data: rows }
  const recipe = { ...common, tasks: { first: task, second: task }, variant: 'full', out, budget: { steps: 24 } }
  return expectTrained(out, (listener) => multitask(recipe as unknown as Parameters<typeof multitask>[0], listener))
})

it('align', () => {
  const out = small.at('dpo')
  const recipe = {
    ...{ objective: 'dpo', base: small.base, data: small.at('pairs.jsonl'), validationShare: 0.25, out },
    ...{ batch: { sequences: 8 }, budget: { steps: 24 }, learningRate: 0.003, answers: { samples: 0 } },
    ...float16,
  }
  return expectTrained(out, (listener) => align(recipe as unknown as Parameters<typeof align>[0], listener))
})

it('is planned as bfloat16 with float32 gradients, of the same size', async () => {
  const recipe = {
    ...{ ...tuning(), command: 'finetune', task: 'sequence-classification', variant: 'full', out: at('planned') },
    budget: { steps: 4 },
  }
  const { lossScale: _, ...unscaled } = recipe
  const [narrow, wide] = [await planRun(recipe), await planRun({ ...unscaled, precision: 'bfloat16' })]
  expect(narrow.rows[0].flopsPerStep).toBe(wide.rows[0].flopsPerStep)
  expect(narrow.rows[0].memory.peakBytes).toBeGreaterThan(wide.rows[0].memory.peakBytes)
})

it('is for training with gradients', async () => {
  const recipe = { ...tuning(), task: 'sequence-classification', variant: 'feature-based', out: at('features') }
  const { checkpoint: _, lossScale: __, learningRate: ___, batch: ____, ...rest } = recipe
  await expect(finetune(rest as unknown as Parameters<typeof finetune>[0])).rejects.toThrow(
    'Expected float32 or bfloat16 for `precision` of a variant without gradients, got float16.',
  )
})
