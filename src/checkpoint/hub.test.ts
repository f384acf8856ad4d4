import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveModel } from './hub.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tunesmith-hub-'))
  await mkdir(join(root, 'run', 'model'), { recursive: true })
  await writeFile(join(root, 'run', 'run.json'), '{}')
})
afterAll(() => rm(root, { recursive: true }))

describe('resolveModel of a path', () => {
  it('takes the model of a run, once there is one', async () => {
    const run = join(root, 'run')
    await expect(resolveModel(run)).rejects.toThrow(/a run that has not finished: .* Finish it with `.* resume .*`\.$/)
    for (const step of ['step-00000002', 'step-00000010'])
      await mkdir(join(run, 'checkpoints', step), { recursive: true })
    await expect(resolveModel(run)).rejects.toThrow(/or use the model of its checkpoint .*step-00000010\.$/)
    await writeFile(join(run, 'model', 'config.json'), '{}')
    expect(await resolveModel(run)).toBe(join(run, 'model'))
  })

  it('takes a folder with a config.json as it is, whatever is below it', async () => {
    const run = join(root, 'run')
    await writeFile(join(run, 'config.json'), '{}')
    expect(await resolveModel(run)).toBe(run)
  })
})
