// A command in two processes of which one is told to stop, as an evicted pod is. Kubernetes and torchrun start a process again only
// after an exit code above 0, so both need one.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runChild } from '../e2e/run-folder.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'

const rank = fileURLToPath(new URL('./fixtures/evicted-rank.ts', import.meta.url))
let data: SmallData

beforeAll(async () => {
  data = await makeSmallData()
}, 60_000)
afterAll(() => data.dispose())

it('ends both with the code of SIGTERM, and the run resumes to code 0', async () => {
  const [out, recipe] = [join(data.root, 'run'), join(data.root, 'recipe.json')]
  const steps = 100
  writeFileSync(recipe, JSON.stringify(smallRecipe(data, out, { budget: { steps }, evaluate: {}, keep: {} })))
  const together = async (stopAt: number, ...command: string[]) => {
    const words = [process.execPath, '--import', 'tsx', rank, out, String(stopAt), ...command]
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
}, 240_000)
