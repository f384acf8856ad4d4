// A run that goes on under a larger budget: the bits of a run that had this budget from its start, where the schedule does not depend on
// it; patience that begins anew; and what is refused, which changes nothing.
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ConfigError } from '../../src/core/index.ts'
import { type PretrainInput, pretrain, resume } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { readRunCard } from '../../src/tracking/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { eventsOf, makeSmallData, remainsOf, type SmallData, smallRecipe } from './small-run.ts'

setThreads(1)
let data: SmallData
beforeAll(async () => {
  data = await makeSmallData()
  await train('long', 20, constant)
})
afterAll(() => data.dispose())

const at = (name: string) => join(data.root, name)
const constant = { schedule: { type: 'constant', warmupSteps: 2 } }
const train = (name: string, steps: number, more: object = {}): Promise<unknown> =>
  pretrain(smallRecipe(data, at(name), { budget: { steps }, ...more }))
const recipeOf = (name: string) => JSON.parse(readFileSync(join(at(name), 'run.json'), 'utf8')) as PretrainInput

it('a finished run ends with the bits and the steps of one that had the larger budget', async () => {
  await train('extended', 9, constant)
  const short = remainsOf(at('extended'))['model/model.safetensors']
  expect(await resume(at('extended'), { budget: { steps: 20 } })).toMatchObject({ reason: 'finished', steps: 20 })
  const [long, extended] = [remainsOf(at('long')), remainsOf(at('extended'))]
  expect(extended['model/model.safetensors']).toBe(long['model/model.safetensors'])
  expect(extended['model/model.safetensors']).not.toBe(short)
  const stepsOf = async (name: string) =>
    (await eventsOf(at(name))).flatMap((event) => {
      const { type, totalSteps: _, ...step } = event as { type: string; totalSteps?: number }
      return type === 'step' ? [step] : []
    })
  expect(await stepsOf('extended')).toEqual(await stepsOf('long'))
  expect(recipeOf('extended').budget).toEqual({ steps: 20 })
  const starts = (await eventsOf(at('extended'))).filter((event) => (event as { type: string }).type === 'start')
  expect(starts).toMatchObject([{ totalSteps: 9 }, { step: 9, totalSteps: 20 }])
  const card = await readRunCard(at('extended'))
  expect(card).toMatchObject({ steps: 20, resumed: 1, config: { budget: { steps: 20 } } })
  // The plan is that of the longer run.
  expect(card?.prediction?.steps).toBe(20)
})

it('stopped again, it goes on by `resume` alone, and the same command finds it finished', async () => {
  await train('stopped', 4, constant)
  const aborter = new AbortController()
  const stopped = await resume(at('stopped'), {
    budget: { steps: 20 },
    signal: aborter.signal,
    onEvent: (event) => {
      if (event.type === 'step' && event.step === 8) aborter.abort()
    },
  })
  expect(stopped).toMatchObject({ reason: 'interrupted', steps: 8 })
  expect(await resume(at('stopped'))).toMatchObject({ reason: 'finished', steps: 20 })
  const notes: string[] = []
  await resume(at('stopped'), { budget: { steps: 20 }, onNote: (line) => notes.push(line) })
  expect(notes).toEqual([expect.stringContaining('already finished')])
  expect(remainsOf(at('stopped'))['model/model.safetensors']).toBe(remainsOf(at('long'))['model/model.safetensors'])
})

it('a schedule over the whole run is stretched, and a note says that the rate rises', async () => {
  await train('linear', 6, { schedule: { type: 'linear' } })
  const notes: string[] = []
  await resume(at('linear'), { budget: { steps: 12 }, onNote: (line) => notes.push(line) })
  const rise = notes.filter((line) => line.startsWith('The learning rate rises'))
  expect(rise).toEqual([
    expect.stringMatching(
      /^The learning rate rises from 0\.000500 to 0\.00150 at step 7: the schedule \(linear\) covers 12 steps now\./,
    ),
  ])
  // It is kept with the step after which it was said.
  expect(await eventsOf(at('linear'))).toContainEqual({ type: 'note', step: 6, message: rise[0] })
})

it('patience begins anew', async () => {
  const stale = { evaluate: { steps: 1 }, learningRate: 1e-12, patience: 2, keep: { last: 1, best: 'loss' } }
  await train('patient', 20, { ...constant, ...stale })
  const before = (await readRunCard(at('patient')))?.steps ?? 0
  expect(before).toBeLessThan(20)
  const { steps } = await resume(at('patient'), { budget: { steps: 21 } })
  expect(steps).toBeGreaterThan(before)
})

it('epochs in place of steps, by the command', async () => {
  await train('epochs', 3, constant)
  const { code, stdout } = await runHere(['resume', at('epochs'), '--budget.epochs', '0.1', '--json'])
  expect(code).toBe(0)
  const { steps } = JSON.parse(stdout) as { steps: number }
  expect(steps).toBeGreaterThan(3)
  expect(recipeOf('epochs').budget).toEqual({ epochs: 0.1 })
})

it.each([
  [{ steps: 2 }, /Expected a budget beyond step 4, where the run is after \d+ tokens, got {"steps":2}\. Raise it\./],
  [{ tokens: 1 }, /Expected a budget beyond step 4/],
  [{}, /Expected `steps`, `tokens`, `epochs` or `minutes` in `budget`/],
  [{ steps: 5, step: 6 }, /step/],
])('refuses %j and leaves the run as it was', async (budget, message) => {
  if (!existsSync(at('refused'))) await train('refused', 4, constant)
  const before = [remainsOf(at('refused')), readFileSync(join(at('refused'), 'run.json'), 'utf8')]
  const error = await resume(at('refused'), { budget } as never).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(ConfigError)
  expect((error as Error).message).toMatch(message)
  expect([remainsOf(at('refused')), readFileSync(join(at('refused'), 'run.json'), 'utf8')]).toEqual(before)
})

it('refuses a run without checkpoints', async () => {
  await train('bare', 3, constant)
  rmSync(join(at('bare'), 'checkpoints'), { recursive: true })
  await expect(resume(at('bare'), { budget: { steps: 6 } })).rejects.toThrow(/Expected a checkpoint .* found none/)
  expect(recipeOf('bare').budget).toEqual({ steps: 3 })
})
