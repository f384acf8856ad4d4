// Runs that are controlled from the pages, with a model that really trains: live rows, checkpoint now, stop, resume, console, delete.
import { mkdir, readdir, rename, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exists } from '../../src/core/index.ts'
import type { RunDetails, RunList, RunRow } from '../../src/serving/studio/types/api-types.ts'
import type { StartAnswer } from '../../src/serving/studio/types/new-run-types.ts'
import { runOwner } from '../../src/tracking/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'
import { browserPath, runsFolder, StudioUnderTest, stepEvent, writeEvents, writeJson } from './studio-fixture.ts'

const runs = runsFolder()
const studio = new StudioUnderTest()
studio.use({ roots: [runs] })
let data: SmallData

beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

interface Answer {
  status: number
  body: { message?: string; id?: string; error?: { message: string; param: string | null } }
}

const send = async (method: 'POST' | 'DELETE', path: string, body: object = {}): Promise<Answer> => {
  const response = await fetch(`${studio.url}${path}`, {
    method,
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  })
  return { status: response.status, body: (await response.json()) as Answer['body'] }
}

const rowOf = async (id: string): Promise<RunRow | undefined> =>
  (await studio.json<RunList>('/api/runs')).runs.find((row) => row.id === id)

/** Waits until a row is as expected. */
const rowThat = async (id: string, is: (row: RunRow) => boolean): Promise<RunRow> => {
  for (;;) {
    const row = await rowOf(id)
    if (row !== undefined && is(row)) return row
    if (row?.state === 'failed') throw new Error(`The run failed: ${row.message}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** A run of a few seconds, without evaluations and without checkpoints but the one at its end. */
const recipeOf = (name: string, more: object = {}) => {
  const {
    average: _,
    evaluate: __,
    keep: ___,
    ...recipe
  } = smallRecipe(data, join(runs, name), {
    budget: { steps: 1500 },
    checkpoint: { minutes: 60 },
    ...more,
  })
  return recipe
}

const start = (name: string, more: object = {}) =>
  send('POST', '/api/new-run/pretrain/start', { recipe: recipeOf(name, more) })

describe.skipIf(browserPath === undefined)('a run that trains', () => {
  it('is started, followed, saved, stopped by two pages, resumed to its end and deleted', async () => {
    const started = await start('live')
    expect(started).toMatchObject({ status: 200, body: { id: 'live' } satisfies Partial<StartAnswer> })
    expect(await start('live')).toMatchObject({ status: 409, body: { error: { param: 'out' } } })
    expect((await rowOf('live'))?.state).toBe('running')
    expect((await send('POST', '/api/runs/live/resume')).body.error?.message).toMatch(/running already/)

    const watched = await studio.open('#/runs')
    const { page } = watched
    const row = page.getByRole('row').filter({ hasText: 'live' })
    await row.getByText('running').waitFor()
    await row.getByRole('progressbar', { name: 'Progress of live' }).waitFor()
    const shownStep = async () => Number(/(\d+) \/ 1500/.exec((await row.textContent()) ?? '')?.[1])
    const first = await shownStep()
    await expect.poll(shownStep).toBeGreaterThan(first)
    expect((await send('DELETE', '/api/runs/live', { name: 'live' })).body.error?.message).toMatch(/stop it first/)

    await row.getByRole('button', { name: 'More for live' }).click()
    const more = page.getByRole('dialog', { name: 'live' })
    await more.getByRole('button', { name: 'Checkpoint now' }).click()
    await more.getByText(/newest checkpoint: step \d+/).waitFor()
    const { checkpoint } = await rowThat('live', (one) => one.checkpoint !== null)
    await more.getByRole('button', { name: 'Console' }).click()
    await page.getByRole('dialog', { name: 'Console of live' }).getByText('Before the first step').waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('Escape')

    const answers = await Promise.all([send('POST', '/api/runs/live/stop'), send('POST', '/api/runs/live/stop')])
    expect(answers.map(({ body }) => body.message).sort()).toEqual([
      'Stopping after the current step, then saving a checkpoint.',
      'The run was asked to stop already: it finishes its step and saves a checkpoint.',
    ])
    const stopped = await rowThat('live', ({ state }) => state !== 'running')
    expect(stopped).toMatchObject({ state: 'interrupted', checkpoint: stopped.step, stopping: false })
    expect(checkpoint).toBeLessThan(stopped.step)
    await row.getByText('interrupted').waitFor()
    expect((await send('POST', '/api/runs/live/stop')).body.error?.message).toMatch(/not running/)

    await row.getByRole('button', { name: 'Resume live' }).click()
    await row.getByText('running').waitFor()
    await row.getByText('finished').waitFor()
    const { row: end, marks } = await studio.json<RunDetails>('/api/runs/live')
    expect(end).toMatchObject({ step: 1500, state: 'finished' })
    expect(marks.filter(({ type }) => type === 'start')).toHaveLength(1)
    expect((await send('POST', '/api/runs/live/stop')).body.error?.message).toMatch(/has just finished/)
    expect((await send('POST', '/api/runs/live/resume')).body.error?.message).toMatch(/has finished/)

    await row.getByRole('button', { name: 'More for live' }).click()
    await page.getByRole('button', { name: 'Delete …' }).click()
    const dialog = page.getByRole('dialog', { name: 'Delete live?' })
    const confirm = dialog.getByRole('button', { name: 'Delete' })
    expect(await confirm.isDisabled()).toBe(true)
    await dialog.getByLabel('Type live to confirm').fill('live')
    await confirm.click()
    await row.waitFor({ state: 'detached' })
    expect(await exists(join(runs, 'live'))).toBe(false)
    expect((await readdir(runs)).filter((name) => name.startsWith('.deleting'))).toEqual([])
    await studio.checkAndClose(watched)
  })

  it('shows why it could not begin', async () => {
    const { body } = await start('no-data', { data: join(runs, 'nowhere') })
    expect(body.id).toBe('no-data')
    for (;;) {
      const row = await rowOf('no-data')
      if (row?.state === 'failed') {
        expect(row.message).toContain('nowhere')
        expect(row.title).toContain('bert')
        break
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    expect(await runOwner(join(runs, 'no-data'))).toBeUndefined()
  })
})

describe('control', () => {
  it('refuses what does not fit the state of a run, in words', async () => {
    await writeEvents(join(runs, 'over'), [stepEvent(1)])
    expect(await send('POST', '/api/runs/over/checkpoint')).toMatchObject({
      status: 409,
      body: { error: { message: 'The run is not running (it is interrupted): there is nothing to save.' } },
    })
    expect((await send('DELETE', '/api/runs/over', { name: 'ove' })).body.error?.message).toMatch(/Nothing was deleted/)
    expect((await send('DELETE', '/api/runs/over', {})).status).toBe(400)
    expect((await send('POST', '/api/runs/none/stop')).status).toBe(404)
    const plain = await fetch(`${studio.url}/api/runs/over/stop`, { method: 'POST', body: '{}' })
    expect(plain.status).toBe(415)
  })

  it('deletes no link and no folder outside', async () => {
    const target = join(data.root, 'target')
    await writeEvents(target, [stepEvent(1)])
    await mkdir(join(runs, 'links'), { recursive: true })
    await symlink(target, join(runs, 'links/link'))
    // Links are not searched, so the run behind one has no id.
    expect((await send('DELETE', '/api/runs/links%2Flink', { name: 'links/link' })).status).toBe(404)
    expect((await send('DELETE', '/api/runs/..%2Ftarget', { name: '../target' })).status).toBe(404)
    // A folder that becomes a link after it was found.
    await writeEvents(join(runs, 'swapped'), [stepEvent(1)])
    expect((await rowOf('swapped'))?.state).toBe('interrupted')
    await rename(join(runs, 'swapped'), join(data.root, 'moved'))
    await symlink(join(data.root, 'moved'), join(runs, 'swapped'))
    const answer = await send('DELETE', '/api/runs/swapped', { name: 'swapped' })
    expect(answer.body.error?.message).toMatch(/symbolic link/)
    expect(await exists(join(target, 'events.jsonl'))).toBe(true)
    expect(await exists(join(data.root, 'moved/events.jsonl'))).toBe(true)
  })
})

describe.skipIf(browserPath === undefined)('the table', () => {
  const html = '<img src=x onerror=alert(1)>'

  it('shows names with HTML as text, and edits tags', async () => {
    await writeEvents(join(runs, html), [stepEvent(1), stepEvent(2)])
    await writeJson(join(runs, html, 'run.json'), { command: 'finetune', base: '<b>x', task: '<i>', variant: 'full' })
    const watched = await studio.open('#/runs')
    const { page } = watched
    const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: html, exact: true }) })
    await row.getByText('<b>x · <i> · full').waitFor()
    await row.getByRole('button', { name: '+ tag' }).click()
    await row.getByRole('textbox').fill('<script>alert(1)</script>, baseline')
    await page.keyboard.press('Enter')
    await row.getByText('baseline', { exact: true }).waitFor()
    await row.getByText('<script>alert(1)</script>', { exact: true }).waitFor()
    await page.getByRole('searchbox', { name: 'Filter' }).fill("'baseline' in tags and step = 2")
    await page.getByText(/^1 of \d+ runs$/).waitFor()
    expect(decodeURIComponent(new URL(page.url()).hash)).toContain("filter='baseline'+in+tags")
    await page.reload()
    await page.getByText(/^1 of \d+ runs$/).waitFor()
    await page.getByRole('searchbox', { name: 'Filter' }).fill('los < 2')
    await page.getByText('There is no field los. Did you mean `loss`?').waitFor()
    await page.getByRole('searchbox', { name: 'Filter' }).fill('over')
    await page.getByText(/^1 of \d+ runs$/).waitFor()
    await page.getByRole('button', { name: 'Loss', exact: true }).click()
    expect(page.url()).toContain('sort=loss')
    await page.getByRole('button', { name: 'Help' }).click()
    await page.getByRole('button', { name: 'seconds_left' }).waitFor()
    expect(watched.faults.filter((fault) => !fault.includes('400'))).toEqual([])
    watched.faults.length = 0
    await studio.checkAndClose(watched)
  })
})
