// The table of runs and the page of one run, from files that grow while the pages are open.
import { appendFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { RunLibrary } from '../../src/serving/studio/runs/run-library.ts'
import type { Curves, RunDetails, RunList } from '../../src/serving/studio/types/api-types.ts'
import {
  browserPath,
  runsFolder,
  StudioUnderTest,
  stepEvent,
  stepEvents,
  writeEvents,
  writeJson,
} from './studio-fixture.ts'

const runs = runsFolder()
const studio = new StudioUnderTest()
studio.use({ roots: [runs] })

describe('the runs of a folder', () => {
  it('are listed with their state, title and losses, however deep they lie', async () => {
    await writeEvents(join(runs, 'sweep/a'), stepEvents(1, 300))
    await writeJson(join(runs, 'sweep/a/run.json'), {
      command: 'finetune',
      base: 'x/bert',
      task: 'regression',
      variant: 'lora',
    })
    const { runs: rows } = await studio.json<RunList>('/api/runs')
    expect(rows).toMatchObject([{ id: 'sweep/a', state: 'interrupted', title: 'bert · regression · lora', step: 300 }])
    expect(rows[0].spark.length).toBeGreaterThan(60)
    expect(rows[0].spark[0]).toBe(5)
  })

  it('keep every spike in their buckets, at the exact value', async () => {
    await writeEvents(join(runs, 'spike'), [
      ...stepEvents(1, 4999),
      stepEvent(5000, { loss: 77.5 }),
      ...stepEvents(5001, 9000),
    ])
    const { curves } = await studio.json<Curves>('/api/runs/spike/curves?names=loss&buckets=100')
    expect(curves[0].steps).toHaveLength(100)
    expect(Math.max(...curves[0].max.map((value) => value ?? 0))).toBe(77.5)
    const near = await studio.json<Curves>('/api/runs/spike/curves?names=loss&from=4999&to=5001&buckets=100')
    expect(near.curves[0].max).toEqual([5 / Math.sqrt(4999), 77.5, 5 / Math.sqrt(5001)])
  })

  it('have ids of their own where folders have the same name, and are there once', async () => {
    const roots = ['one/same', 'two/same', 'one/same/x', 'one/same'].map((path) => join(runs, 'roots', path))
    for (const root of roots) await writeEvents(join(root, root.endsWith('x') ? '' : 'x'), stepEvents(1, 2))
    const library = await RunLibrary.open(roots)
    await library.refresh({ scan: true })
    expect(library.rows.map(({ id, folder }) => [id, folder]).sort()).toEqual([
      ['one/same/x', join(runs, 'roots/one/same/x')],
      ['two/same/x', join(runs, 'roots/two/same/x')],
    ])
    await rm(join(runs, 'roots'), { recursive: true })
  })

  it('name damaged lines and keep the events around them', async () => {
    await writeEvents(join(runs, 'damaged'), stepEvents(1, 3))
    await appendFile(join(runs, 'damaged/events.jsonl'), '{"type":"step","step":\n')
    await writeEvents(join(runs, 'damaged'), stepEvents(4, 5))
    const { row, damage } = await studio.json<RunDetails>('/api/runs/damaged')
    expect(row).toMatchObject({ state: 'damaged', step: 5, message: expect.stringContaining('Line 4') })
    expect(damage).toEqual([{ line: 4, expected: 'JSON' }])
  })

  it('are read again from the start when their events were cut back', async () => {
    const folder = join(runs, 'cut')
    await writeEvents(folder, stepEvents(1, 50))
    expect((await studio.json<RunDetails>('/api/runs/cut')).row.step).toBe(50)
    await rm(join(folder, 'events.jsonl'))
    await writeEvents(folder, stepEvents(1, 20))
    const { row, columns } = await studio.json<RunDetails>('/api/runs/cut')
    expect(row.step).toBe(20)
    expect(columns.training).toContain('loss')
    const { curves } = await studio.json<Curves>('/api/runs/cut/curves?names=loss')
    expect(curves[0].steps.at(-1)).toBe(20)
  })

  it('give an error that says what is wrong for unknown runs and fields, and for requests of other sites', async () => {
    expect(await studio.json('/api/runs/none')).toMatchObject({
      error: { message: expect.stringContaining('no run none') },
    })
    expect(await studio.json('/api/runs/..%2F..%2Fetc')).toMatchObject({ error: { code: 'run_not_found' } })
    expect(await studio.json('/api/runs/spike/curves?names=loss&bucket=3')).toMatchObject({
      error: { message: expect.stringContaining('Did you mean `buckets`?') },
    })
    const response = await fetch(`${studio.url}/api/runs/spike`, {
      headers: { 'sec-fetch-site': 'cross-site' },
      method: 'POST',
    })
    expect(response.status).toBe(403)
  })
})

describe.skipIf(browserPath === undefined)('the pages in Chromium', () => {
  it('show a new run within seconds, without a reload', async () => {
    const watched = await studio.open('#/runs')
    const { page } = watched
    await page.getByRole('link', { name: 'spike' }).waitFor()
    await writeEvents(join(runs, 'late'), stepEvents(1, 10))
    await page.getByRole('link', { name: 'late' }).waitFor()
    const row = page.getByRole('row').filter({ hasText: 'late' })
    await row.getByText('10 / 1000').waitFor()
    await writeEvents(join(runs, 'late'), stepEvents(11, 12))
    await row.getByText('12 / 1000').waitFor()
    await studio.checkAndClose(watched)
  })

  it('of a sweep have a page with their scores, which shows when a trial is pruned', async () => {
    const folder = join(runs, 'search')
    const trial = (number: number, rank: number, more: object) => ({
      ...{ number, over: { learningRate: 0.001, 'adapter.rank': rank }, runs: [`rank=${rank}`], ...more },
    })
    const first = trial(1, 4, { status: 'finished', value: 0.81 })
    const setting = { over: first.over, runs: first.runs, mean: 0.81, spread: 0, low: 0.81, high: 0.81, seconds: 3 }
    const summary = { metric: 'accuracy', settings: [{ ...setting, interval: { low: 0.7, high: 0.9 } }], runs: [] }
    const over = { learningRate: [0.001], 'adapter.rank': { low: 1, high: 64, integer: true } }
    const search = { method: 'asha', trials: 2, seed: 0 }
    await writeEvents(join(folder, 'rank=4'), [stepEvent(1)])
    await writeEvents(join(folder, 'rank=64'), [stepEvent(1)])
    await writeJson(join(folder, 'summary.json'), { ...summary, trials: [first] })
    await writeJson(join(folder, 'sweep.json'), { recipe: { command: 'finetune' }, over, search })
    await writeEvents(join(runs, 'broken/run'), [stepEvent(1)])
    await writeJson(join(runs, 'broken/sweep.json'), [])
    const watched = await studio.open('#/sweeps', { width: 380 })
    const { page } = watched
    // A search of which no trial has finished has no metric yet.
    const paused = { number: 1, over: { learningRate: 0.1 }, runs: ['a'], status: 'stopped', value: 0.4, steps: 6 }
    await writeEvents(join(runs, 'begun/a'), [stepEvent(1)])
    await writeJson(join(runs, 'begun/summary.json'), { trials: [paused] })
    await writeJson(join(runs, 'begun/sweep.json'), {
      recipe: { command: 'finetune' },
      over: { learningRate: [0.1] },
      search,
    })
    const begun = await studio.open('#/sweeps/begun', { width: 380 })
    await begun.page.getByText('score of the last comparison; no trial has finished yet').waitFor()
    await begun.page.getByRole('link', { name: /^Trial 1: score 0\.400, pruned at step 6/ }).waitFor()
    await studio.checkAndClose(begun)
    await page.getByRole('row', { name: /^broken .*The file is damaged/ }).waitFor()
    await page.getByRole('row', { name: /^search unfinished .*1 \/ 2 .*accuracy 0\.810 \[0\.700, 0\.900\]/ }).waitFor()
    await page.getByRole('link', { name: 'search', exact: true }).click()
    await page.getByRole('row', { name: /^Trial 1 0\.001 4 best 0\.810 .* finished/ }).waitFor()
    // A setting that has had one value says nothing yet.
    await page
      .getByRole('figure', { name: 'accuracy against trial' })
      .getByRole('link', { name: /^Trial 1/ })
      .waitFor()
    const second = trial(2, 64, { status: 'stopped', value: 0.5, steps: 6 })
    await writeJson(join(folder, 'summary.json'), { ...summary, trials: [first, second] })
    await page.getByRole('row', { name: /^Trial 2 0\.001 64 0\.500 pruned at step 6/ }).waitFor()
    const picture = page.getByRole('figure', { name: 'accuracy against adapter.rank' })
    await picture.getByRole('link', { name: /^Trial 2: accuracy 0\.500, pruned at step 6/ }).waitFor()
    await page.getByText('2 of 2').waitFor()
    await studio.checkAndClose(watched)
  })

  it('open one run with its curves', async () => {
    const watched = await studio.open('#/runs/spike')
    await watched.page.getByRole('figure', { name: 'loss by step' }).locator('canvas').waitFor()
    await studio.checkAndClose(watched)
  })

  it('chooses runs for a comparison by keyboard', async () => {
    const watched = await studio.open('#/runs')
    const { page } = watched
    for (const name of ['spike', 'sweep/a']) {
      await page.getByRole('checkbox', { name: `Compare ${name}` }).focus()
      await page.keyboard.press('Space')
    }
    await page.getByText('2 runs chosen').waitFor()
    await page.getByRole('link', { name: 'Compare' }).last().press('Enter')
    await page.getByRole('figure', { name: 'loss by step' }).locator('canvas').waitFor()
    await page.getByRole('button', { name: 'Remove sweep/a' }).waitFor()
    await studio.checkAndClose(watched)
  })
})
