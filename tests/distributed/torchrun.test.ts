// torchrun starts two processes, with its agent as the store: the losses and bits of two that `launch` starts.
import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { peersPython } from '../../bench/side-by-side.ts'
import { program } from '../setup/program.ts'
import { makeSmallData, remainsOf, type SmallData, smallRecipe } from '../training/small-run.ts'
import { lossesOf, runTogether } from './parallel-runs.ts'

const torchrun = join(dirname(peersPython() ?? ''), 'torchrun')
const reason = existsSync(torchrun) ? '' : ' (skipped: no torchrun, which `node bench/peers/setup.mjs` installs)'

describe.skipIf(reason !== '')(`torchrun${reason}`, () => {
  let data: SmallData
  const recipe = (name: string) => {
    const out = join(data.root, name)
    return { ...smallRecipe(data, out, { evaluate: {}, keep: {}, shard: 'optimizer' }), command: 'pretrain', out }
  }
  beforeAll(async () => {
    data = await makeSmallData()
  })
  afterAll(() => data.dispose())

  it('starts two processes, which give the bits of two that `launch` starts', async () => {
    const file = join(data.root, 'recipe.json')
    const { command: _, ...settings } = recipe('torchrun')
    writeFileSync(file, JSON.stringify(settings))
    const words = ['--no-python', '--standalone', '--nproc-per-node', '2', process.execPath, ...program]
    const { status, stderr } = spawnSync(torchrun, [...words, 'pretrain', '--recipe', file], {
      encoding: 'utf8',
      env: { ...process.env, OMP_NUM_THREADS: '1' },
    })
    expect(status, stderr).toBe(0)
    expect((await runTogether(2, [recipe('launch')])).codes).toEqual([0, 0])
    expect(await lossesOf(recipe('torchrun'))).toHaveLength(20)
    expect(await lossesOf(recipe('torchrun'))).toEqual(await lossesOf(recipe('launch')))
    expect(remainsOf(recipe('torchrun').out)).toEqual(remainsOf(recipe('launch').out))
  })
})
