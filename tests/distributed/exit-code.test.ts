// A command in two processes of which one is told to stop, as an evicted pod is, or is lost. Kubernetes and torchrun start a process again
// only after an exit code above 0, so both need one; `launch --restarts` does it itself.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runChild } from '../e2e/run-folder.ts'
import { bundledChild } from '../setup/bundled-child.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'
import { lossesOf } from './parallel-runs.ts'
import { ranksOf, recordedSteps, startProgram, until } from './rank-processes.ts'

const rank = new URL('./fixtures/evicted-rank.ts', import.meta.url)
let data: SmallData

beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

it('ends both with the code of SIGTERM, and the run resumes to code 0', async () => {
  const [out, recipe] = [join(data.root, 'run'), join(data.root, 'recipe.json')]
  const steps = 100
  writeFileSync(recipe, JSON.stringify(smallRecipe(data, out, { budget: { steps }, evaluate: {}, keep: {} })))
  const together = async (stopAt: number, ...command: string[]) => {
    const words = [process.execPath, await bundledChild(rank), out, String(stopAt), ...command]
    const { code, stdout, stderr } = await runChild(['launch', '--processes', '2', '--json', '--', ...words])
    return { code, codes: JSON.parse(stdout).processes.map((one: { exitCode: number }) => one.exitCode), stderr }
  }
  const stopped = await together(5, 'pretrain', '--recipe', recipe)
  expect(stopped.stderr).toContain('Resume with: ')
  expect(stopped).toMatchObject({ code: 143, codes: [143, 143] })
  expect(existsSync(join(out, 'model'))).toBe(false)
  const finished = await together(2 * steps, 'resume', out)
  expect(finished).toMatchObject({ code: 0, codes: [0, 0] })
  expect(existsSync(join(out, 'model', 'model.safetensors'))).toBe(true)
})

it('starts all processes again after one was lost, and they resume', async () => {
  const [out, recipe] = [join(data.root, 'lost'), join(data.root, 'lost.json')]
  const more = { budget: { steps: 60 }, checkpoint: { steps: 5 }, evaluate: {}, keep: {} }
  writeFileSync(recipe, JSON.stringify(smallRecipe(data, out, more)))
  const words = ['launch', '--processes', '2', '--restarts', '1', '--', 'tunesmith', 'pretrain', '--recipe', recipe]
  const launch = startProgram(words, { OMP_NUM_THREADS: '1', TUNESMITH_HEARTBEAT_SECONDS: '4' })
  await until(() => recordedSteps(out) >= 12, 300, 'steps')
  process.kill(ranksOf(launch).get(1) as number, 'SIGKILL')
  expect(await launch.exitCode).toBe(0)
  const text = launch.stderr()
  expect(text).toContain('starting all processes again (restart 1 of 1)')
  expect(text).toMatch(/Resuming from step [1-9]/)
  expect(await lossesOf({ out })).toHaveLength(60)
})

it('starts nothing again after a faulty command', async () => {
  const recipe = join(data.root, 'faulty.json')
  writeFileSync(recipe, JSON.stringify({ ...smallRecipe(data, join(data.root, 'faulty')), learningRate: -1 }))
  const words = ['launch', '--processes', '2', '--restarts', '3', '--', 'tunesmith', 'pretrain', '--recipe', recipe]
  const launch = startProgram(words, { OMP_NUM_THREADS: '1' })
  expect(await launch.exitCode).toBe(2)
  expect(launch.stderr()).not.toContain('starting all processes again')
})
