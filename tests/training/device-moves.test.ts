// A run that is stopped and resumed on another device: from the strict one to the CPU and back. Checkpoints know no device; the losses are
// those of a run that stayed.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { planRun, pretrain, type RunListener, resume } from '../../src/runs/index.ts'
import { kindOf, startOf } from '../../src/runs/kinds.ts'
import { predictRun } from '../../src/runs/plan/predict-run.ts'
import { enableStrictDevice, strictDeviceCounts } from '../../src/tensor/index.ts'
import { describePrediction } from '../../src/tracking/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

enableStrictDevice()

let data: SmallData
beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

/** A listener that stops the run after a step, and takes its losses. */
const stoppingAfter = (step: number, losses: Map<number, number>): RunListener => {
  const aborter = new AbortController()
  return {
    signal: aborter.signal,
    onEvent: (event) => {
      if (event.type !== 'step') return
      losses.set(event.step, event.loss)
      if (event.step >= step) aborter.abort()
    },
  }
}

const moveTo = (run: string, device: string): void => {
  const file = join(run, 'run.json')
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), device }))
}

it('strict, CPU, strict: the losses of a run on the CPU', async () => {
  const expected = new Map<number, number>()
  await pretrain(smallRecipe(data, join(data.root, 'stays'), { device: 'cpu' }), stoppingAfter(99, expected))
  const out = join(data.root, 'moves')
  const losses = new Map<number, number>()
  const operators = () => strictDeviceCounts()?.operators as number
  await pretrain(smallRecipe(data, out, { device: 'strict' }), stoppingAfter(6, losses))
  const before = operators()
  expect(before).toBeGreaterThan(0)
  moveTo(out, 'cpu')
  await resume(out, stoppingAfter(12, losses))
  expect(operators()).toBe(before)
  moveTo(out, 'strict')
  const { reason } = await resume(out, stoppingAfter(99, losses))
  expect(reason).toBe('finished')
  expect(operators()).toBeGreaterThan(before)
  expect([...losses.keys()]).toEqual([...expected.keys()])
  for (const [step, loss] of expected) expect(losses.get(step)).toBeCloseTo(loss, 4)
})

it('a run on another device is planned with the kernels of the CPU, which its plan says', async () => {
  const input = { ...smallRecipe(data, join(data.root, 'planned'), { device: 'strict' }), command: 'pretrain' }
  const recipe = await startOf('pretrain').resolve(input)
  const note = 'Memory is planned with the kernels of the CPU: on strict operators are composed, which takes more.'
  const prediction = await predictRun(kindOf('pretrain'), recipe)
  expect(describePrediction(prediction!, 16e9)).toContain(`plan: ${note}`)
  expect((await planRun(input)).notes).toContain(note)
  const there = await predictRun(kindOf('pretrain'), { ...recipe, device: 'cpu' })
  expect(there?.notes).toEqual([])
  expect(there?.peakBytes).toBe(prediction?.peakBytes)
})
