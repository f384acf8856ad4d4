// The commands that open the studio, as processes: what a person types, sees and stops.
import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RunList } from '../../src/serving/studio/types/api-types.ts'
import { runChild, runHere } from '../e2e/run-folder.ts'
import { loadScript } from '../setup/load-script.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'
import { repository, runsFolder, stepEvents, writeEvents, writeJson } from './studio-fixture.ts'

const runs = runsFolder()
let data: SmallData

beforeAll(async () => {
  const { buildWeb } = await loadScript<{ buildWeb(root: string): Promise<void> }>('web.mjs')
  await buildWeb(repository)
  data = await makeSmallData()
  await writeEvents(join(runs, 'a'), stepEvents(1, 3))
  await writeEvents(join(runs, 'b'), stepEvents(1, 5))
})
afterAll(() => data.dispose())

const addressIn = (text: string): string | undefined => /http:\/\/127\.0\.0\.1:\d+/.exec(text)?.[0]

const runsAt = async (url: string): Promise<RunList> => {
  const page = await fetch(url)
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
  expect(await page.text()).toContain('<div id="app">')
  // A run that has just begun is there within a look at its folder.
  for (;;) {
    const list = (await (await fetch(`${url}/api/runs`)).json()) as RunList
    if (list.runs.length > 0) return list
    await setTimeout(100)
  }
}

describe('tunesmith ui', () => {
  it('serves the runs of a folder until Ctrl-C', async () => {
    let seen: Promise<RunList> | undefined
    const { code, stdout } = await runChild(['ui', runs, '--port', '0', '--no-open', '--json'], (text, kill) => {
      const url = addressIn(text)
      if (url === undefined || seen !== undefined) return
      seen = runsAt(url).finally(() => kill('SIGINT'))
    })
    // As of any program that Ctrl-C ended.
    expect(code).toBe(130)
    expect((await seen)?.runs.map(({ id }) => id).sort()).toEqual(['a', 'b'])
    expect(JSON.parse(stdout.split('\n')[0])).toMatchObject({ url: expect.stringContaining('127.0.0.1'), runs: [runs] })
    expect(existsSync(join(runs, 'a/events.jsonl'))).toBe(true)
  })

  it.each([
    [['ui', 'absent-folder', '--no-open'], 'Expected a folder of runs for `absent-folder`'],
    [['ui', runs, '--host', '0.0.0.0', '--no-open'], 'token'],
  ])('refuses %j with what to do', async (argv, message) => {
    const { code, stderr } = await runHere(argv)
    expect(code).not.toBe(0)
    expect(stderr).toContain(message)
  })
})

describe('--ui of a command that trains', () => {
  it('shows the run while it trains, and ends with it', async () => {
    const out = join(runs, 'trained')
    const { out: _, ...recipe } = smallRecipe(data, out, {
      ...{ budget: { steps: 200 }, evaluate: {}, checkpoint: {}, keep: { last: 1 }, average: undefined },
    })
    await writeJson(join(runs, 'recipe.json'), { command: 'pretrain', ...recipe })
    let seen: Promise<RunList> | undefined
    let url: string | undefined
    const argv = ['pretrain', '--recipe', join(runs, 'recipe.json'), '--out', out, '--ui', '--ui-port', '0', '--json']
    const { code, stderr } = await runChild(argv, (text) => {
      url ??= addressIn(text)
      if (url !== undefined) seen ??= runsAt(url)
    })
    expect(code, stderr).toBe(0)
    expect((await seen)?.runs).toMatchObject([{ id: 'trained', state: 'running' }])
    await expect(fetch(url!)).rejects.toThrow()
  })
})

describe('tunesmith share', () => {
  it('writes a run, or a comparison, as one file', async () => {
    const out = join(runs, 'shared.html')
    const first = await runHere(['share', join(runs, 'a'), '--out', out, '--json'])
    expect(first.code, first.stderr).toBe(0)
    expect(JSON.parse(first.stdout)).toEqual({ path: out, runs: ['a'], bytes: (await stat(out)).size })
    const both = await runHere(['share', join(runs, 'a'), join(runs, 'b'), '--out', join(runs, 'both.html')])
    expect(both.stdout + both.stderr).toContain('Wrote a comparison of 2 runs')
    expect(await readFile(join(runs, 'both.html'), 'utf8')).toContain('Comparison of 2 runs')
    const again = await runHere(['share', join(runs, 'a'), '--out', out])
    expect(again.code).not.toBe(0)
    expect(again.stderr).toContain('which exists')
  })
})
