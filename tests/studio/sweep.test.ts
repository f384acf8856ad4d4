// A sweep that really trains while its page is open: rows and states appear, and a page whose studio is killed comes back to them.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lockFolder } from '../../src/core/index.ts'
import { pretrain, sweep } from '../../src/runs/index.ts'
import { sweepPoints } from '../../src/runs/sweep/points.ts'
import { startStudioProcess } from '../../src/serving/index.ts'
import { sweepDetails, sweepRow } from '../../src/serving/studio/endpoints/sweeps.ts'
import type { Curves } from '../../src/serving/studio/types/api-types.ts'
import { runOwner } from '../../src/tracking/index.ts'
import { formatInterval } from '../../web/format.ts'
import { statusText } from '../../web/pages/sweeps/words.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'
import { browserPath, isLostConnection, runsFolder, StudioUnderTest } from './studio-fixture.ts'

const runs = runsFolder()
const studio = new StudioUnderTest()
studio.use({ roots: [runs] })
const steps = 400
let data: SmallData

beforeAll(async () => {
  data = await makeSmallData()
  await pretrain(smallRecipe(data, join(data.root, 'base'), { budget: { steps: 4 } }))
  const rows = Array.from({ length: 90 }, (_, i) => {
    const green = i % 2 === 0
    return JSON.stringify({ review: `the house ${green ? 'green' : 'stone'} ${i}`, stars: green ? 'plant' : 'rock' })
  })
  await writeFile(join(data.root, 'rows.jsonl'), rows.join('\n'))
})
afterAll(() => data.dispose())

/** Stops the process of a run once it has written a step, so that a page of any speed sees the run while it trains. */
const freeze = async (folder: string): Promise<number> => {
  for (;;) {
    const events = await readFile(join(folder, 'events.jsonl'), 'utf8').catch(() => '')
    const owner = await runOwner(folder)
    if (owner !== undefined && events.includes('"type":"step"')) {
      process.kill(owner, 'SIGSTOP')
      return owner
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe('the state of a sweep', () => {
  it('is running while its process goes on, though no run of it trains at that moment', async () => {
    const folder = join(data.root, 'between')
    await mkdir(folder)
    const file = { recipe: { command: 'finetune', task: 'sequence-classification' }, over: { learningRate: [1, 2] } }
    await writeFile(join(folder, 'sweep.json'), JSON.stringify(file))
    const stateNow = async () => (await sweepRow({ id: 'between', folder, runs: new Map() }, new Map())).state
    const unlock = await lockFolder(folder, () => '')
    expect(await stateNow()).toBe('running')
    await unlock()
    expect(await stateNow()).toBe('unfinished')
  })

  it('has the runs that are not ranked, and how many of a trial failed', async () => {
    const folder = join(data.root, 'unranked')
    await mkdir(folder)
    const file = {
      recipe: { command: 'finetune', task: 'sequence-classification' },
      over: { learningRate: [1, 2], seed: [0, 1] },
    }
    await writeFile(join(folder, 'sweep.json'), JSON.stringify(file))
    const runs = sweepPoints(file.over).map(({ name, over }, i) => ({
      ...{ name, over, status: i === 1 ? 'failed' : 'finished' },
      ...(i === 1 && { message: 'The loss is not finite.' }),
    }))
    const summary = { metric: 'accuracy', settings: [], runs, unranked: [{ name: runs[3].name, metric: 'auc' }] }
    await writeFile(join(folder, 'summary.json'), JSON.stringify(summary))
    const { unranked, trials } = await sweepDetails({ id: 'unranked', folder, runs: new Map() }, new Map())
    expect(unranked).toEqual([{ name: runs[3].name, id: null, reason: 'it has auc, not accuracy' }])
    expect(trials.map(statusText)).toEqual(['1 of 2 runs failed', 'finished'])
  })
})

describe.skipIf(browserPath === undefined)('the page of a sweep that trains', () => {
  it('gets its rows, their states and scores without a reload, and connects again after a kill of the studio', async () => {
    const shown = await startStudioProcess({ roots: [runs], port: 0 })
    const stop = new AbortController()
    const recipe = {
      ...{ base: join(data.root, 'base'), task: 'sequence-classification', data: join(data.root, 'rows.jsonl') },
      ...{ settings: { text: 'review', label: 'stars' }, validationShare: 0.3, maxLength: 32, batch: { sequences: 4 } },
      ...{ budget: { steps }, evaluate: { steps: 1000 }, checkpoint: { minutes: 60 }, untrainedBaseline: false },
    }
    let frozen: number | undefined
    let swept: ReturnType<typeof sweep> | undefined
    try {
      const watched = await studio.open('#/sweeps', { url: shown.url })
      const { page } = watched
      await page.getByText('There are no sweeps yet.').waitFor()
      swept = sweep({ recipe, over: { learningRate: [0.001, 0.01] }, out: join(runs, 'grid') }, { signal: stop.signal })
      frozen = await freeze(join(runs, 'grid', 'learningRate=0.001'))
      await page.getByRole('row', { name: /^grid running .*0 \/ 2 grid learningRate/ }).waitFor()
      await page.getByRole('link', { name: 'grid', exact: true }).click()
      const trial = (number: number) => page.getByRole('row', { name: new RegExp(`^Trial ${number} `) })
      await trial(1).getByText('running').waitFor()
      await trial(1)
        .getByText(new RegExp(`\\d+ / ${steps}`))
        .waitFor()
      expect(await trial(2).count()).toBe(0)
      await page.getByRole('row', { name: /^2 0\.01 waiting/ }).waitFor()
      expect(watched.faults).toEqual([])

      const before = shown.processId!
      process.kill(before, 'SIGKILL')
      const status = page.getByRole('navigation').getByRole('status')
      await status.getByText('Reconnecting …').waitFor()
      // What was read stays on the page until the studio is back.
      await trial(1).getByText('running').waitFor()
      await status.getByText('Reconnecting …').waitFor({ state: 'detached' })
      expect(shown.processId).not.toBe(before)

      // The same run on its own page, and in a comparison: both get its steps to the last one, without a reload.
      const id = encodeURIComponent('grid/learningRate=0.001')
      const run = await studio.open(`#/runs/${id}`, { url: shown.url })
      await run.page.getByText(new RegExp(`^\\d+ of ${steps}$`)).waitFor()
      expect(await run.page.getByText(`${steps} of ${steps}`, { exact: true }).count()).toBe(0)
      const compared = await studio.open(`#/compare?runs=${id}`, { url: shown.url })
      await compared.page.getByRole('figure', { name: 'loss by step' }).locator('canvas').waitFor()
      const last = compared.page.waitForResponse(
        async (response) =>
          response.url().includes('/curves?') && ((await response.json()) as Curves).lastStep === steps,
      )

      process.kill(frozen, 'SIGCONT')
      await run.page.getByText(`${steps} of ${steps}`, { exact: true }).waitFor()
      await run.page.getByText('finished', { exact: true }).first().waitFor()
      await last
      await studio.checkAndClose(run)
      await studio.checkAndClose(compared)
      await trial(1).getByText('finished').waitFor()
      await trial(2).getByText('finished').waitFor()
      await page.getByText('2 of 2', { exact: true }).waitFor()
      const { reason, settings } = await swept
      expect(reason).toBe('finished')
      for (const setting of settings) {
        const number = setting.over.learningRate === 0.001 ? 1 : 2
        const { low = null, high = null } = setting.interval ?? {}
        const score = formatInterval({ value: setting.mean, low, high })
        await trial(number).filter({ hasText: score }).waitFor()
      }
      await page.reload()
      await trial(2).getByText('finished').waitFor()
      // The browser itself reports the connections that the kill broke.
      await studio.checkAndClose(watched, isLostConnection)
    } finally {
      if (frozen !== undefined && (await runOwner(join(runs, 'grid', 'learningRate=0.001'))) === frozen)
        process.kill(frozen, 'SIGCONT')
      stop.abort()
      await swept
      await shown.close()
    }
  })
})
