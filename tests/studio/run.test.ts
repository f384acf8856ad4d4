// The page of one run: live curves, zoom, smoothing and axes in the address, marks, samples, settings and files, against events that the test
// writes and a run that trains. Rows of batches are compared with real training in tests/training/batch-rows.test.ts.
import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pretrain } from '../../src/runs/index.ts'
import type {
  BatchRows,
  Curves,
  RunDetails,
  RunFilesAnswer,
  RunSamples,
} from '../../src/serving/studio/types/api-types.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { formatValue } from '../../web/format.ts'
import { layerName } from '../../web/pages/run/layer-names.ts'
import { csvOf } from '../../web/parts/chart-csv.ts'
import { changesBetween } from '../../web/parts/settings-changes.ts'
import { smooth } from '../../web/parts/smoothing.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'
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

const at = (step: number) => ({ time: new Date(Date.UTC(2026, 0, 1) + step * 1000).toISOString(), step })

const html = '<img src=x onerror="document.title=1">'

/** A run with everything that a page shows. */
const events: TrainingEvent[] = [
  { type: 'start', ...at(0), totalSteps: 600 },
  ...stepEvents(1, 200),
  { type: 'evaluation', ...at(200), metrics: { loss: 0.5, accuracy: 0.7 }, seconds: 1, best: true },
  { type: 'sample', ...at(200), prompt: 'Once', text: ' upon a time' },
  { type: 'checkpoint', ...at(200), path: 'checkpoints/step-00000200', seconds: 1 },
  ...stepEvents(201, 299),
  { type: 'incident', ...at(300), kind: 'spike', message: 'Loss 9 is 8.0 standard deviations above its recent mean.' },
  stepEvent(300, { loss: 9 }),
  ...stepEvents(301, 400),
  { type: 'evaluation', ...at(400), metrics: { loss: 0.6, accuracy: 0.6 }, seconds: 1, best: false },
  { type: 'sample', ...at(400), prompt: html, text: html },
  { type: 'end', ...at(400), reason: 'interrupted' },
]

const recipe = { command: 'pretrain', learningRate: 0.001, model: { type: 'gpt2', preset: 'test' }, seed: 1 }

let data: SmallData
beforeAll(async () => {
  data = await makeSmallData('bpe')
  await writeEvents(join(runs, 'all'), events)
  await writeJson(join(runs, 'all/run.json'), recipe)
  await writeJson(join(runs, 'other/run.json'), { ...recipe, learningRate: 0.002, model: { type: 'gpt2' }, batch: 8 })
  await writeEvents(join(runs, 'other'), stepEvents(1, 5))
  await mkdir(join(runs, 'all/checkpoints/step-00000200/model'), { recursive: true })
  await writeFile(join(runs, 'all/checkpoints/step-00000200/model/weights'), 'x'.repeat(5000))
  await appendFile(join(runs, 'all/events.jsonl'), 'damaged\n')
})
afterAll(() => data.dispose())

describe('the parts of a run', () => {
  it('are its samples by step, its checkpoints with their sizes, and what is damaged', async () => {
    const { steps: withSamples } = await studio.json<RunSamples>('/api/runs/all/samples')
    expect(withSamples).toEqual([200, 400])
    const { samples } = await studio.json<RunSamples>('/api/runs/all/samples?steps=400,200')
    expect(samples).toEqual([
      { step: 400, texts: [{ prompt: html, text: html }] },
      { step: 200, texts: [{ prompt: 'Once', text: ' upon a time' }] },
    ])
    const { checkpoints, modelBytes } = await studio.json<RunFilesAnswer>('/api/runs/all/files')
    expect(checkpoints).toMatchObject([{ step: 200, bytes: 5000, path: 'checkpoints/step-00000200' }])
    expect(modelBytes).toBe(null)
    expect((await studio.json<RunDetails>('/api/runs/all')).damage).toHaveLength(1)
  })

  it('give an error in words for wrong questions', async () => {
    const message = async (path: string) =>
      (await studio.json<{ error: { message: string } }>(`/api/runs/all/${path}`)).error.message
    expect(await message('samples?steps=1;2')).toContain('for `steps`, got "1;2"')
    expect(await message('batch?step=0')).toContain('step')
    expect(await message('batch?step=3')).toContain('The line is damaged')
  })

  it('end with the word of its deletion for a page that comes back to its events, however late', async () => {
    const folder = join(runs, 'gone')
    await writeEvents(folder, stepEvents(1, 3))
    expect(await studio.json('/api/runs/gone')).toMatchObject({ row: { step: 3 } })
    await rm(folder, { recursive: true })
    const events = (query: string) => fetch(`${studio.url}/api/runs/gone/events${query}`)
    expect(await (await events('?from=10')).text()).toContain('{"removed":true}')
    // For one that has read nothing, the run is unknown.
    expect((await events('')).status).toBe(404)
  })

  it('are curves whose steps count once, after weights went back', async () => {
    await writeEvents(join(runs, 'back'), [...stepEvents(1, 30, { loss: 9 }), ...stepEvents(21, 25, { loss: 1 })])
    const { curves } = await studio.json<Curves>('/api/runs/back/curves?names=loss')
    expect(curves[0].steps).toEqual(Array.from({ length: 25 }, (_, i) => i + 1))
    expect(curves[0].last.slice(18)).toEqual([9, 9, 1, 1, 1, 1, 1])
    await writeJson(join(runs, 'back/run.json'), { command: 'pretrain' })
    const { error } = await studio.json<{ error: { message: string } }>('/api/runs/back/batch?step=99999')
    expect(error.message).toContain('no step 99999')
  })
})

describe('what the page computes', () => {
  it('smooths without bias at the start, over gaps', () => {
    expect(smooth([4, 4, null, 4], 0.9)).toEqual([4, 4, null, expect.closeTo(4, 12)])
    // (0.5 * (0.5 * 1) + 0.5 * 3) / (1 - 0.25)
    expect(smooth([1, 3], 0.5)[1]).toBeCloseTo(1.75 / 0.75, 12)
  })

  it('names nested settings that differ', () => {
    expect(changesBetween({ a: 1, m: { x: 1, y: [1] }, z: 0 }, { a: 1, m: { x: 2, y: [1] }, n: { q: 1 } })).toEqual([
      { path: 'm.x', before: 1, after: 2, kind: 'changed' },
      { path: 'n', before: undefined, after: { q: 1 }, kind: 'added' },
      { path: 'z', before: 0, after: undefined, kind: 'removed' },
    ])
  })

  it('writes curves of different steps into one CSV', () => {
    const curves = [
      { name: 'a, b', x: [1, 2], y: [5, null] },
      { name: 'c', x: [2, 3], y: [6, 7], low: [6, 6], high: [6, 8] },
    ]
    expect(csvOf({ curves })).toBe('step,"a, b",c,"c, lowest","c, highest"\n1,5,,,\n2,,6,6,6\n3,,7,6,8\n')
  })
})

describe.skipIf(browserPath === undefined)('the page in Chromium', () => {
  it('shows new steps in its facts and its curves without a reload', async () => {
    const folder = join(runs, 'live')
    await writeEvents(folder, stepEvents(1, 20))
    const watched = await studio.open('#/runs/live')
    const { page } = watched
    await page.getByText('20 of 1000').waitFor()
    const curve = page.waitForResponse(
      async (response) => response.url().includes('/curves?') && ((await response.json()) as Curves).lastStep === 23,
    )
    await writeEvents(folder, stepEvents(21, 23))
    await page.getByText('23 of 1000').waitFor()
    const { curves } = (await (await curve).json()) as Curves
    expect(curves.find(({ name }) => name === 'loss')?.steps.at(-1)).toBe(23)
    await studio.checkAndClose(watched)
  })

  it('keeps smoothing, axis and zoom in the address, for all charts', async () => {
    const watched = await studio.open('#/runs/all')
    const { page } = watched
    await page.getByLabel('x axis').selectOption('tokens')
    await page.getByRole('figure', { name: 'Loss by tokens' }).locator('canvas').waitFor()
    await page.getByLabel('Smoothing').fill('0.9')
    await page.getByText('training, smoothed').waitFor()
    await page.getByLabel('log y').check()
    const over = page.getByRole('figure', { name: 'Loss by tokens' }).locator('.u-over')
    const box = (await over.boundingBox())!
    const finer = page.waitForResponse((response) => response.url().includes('from='))
    await page.mouse.move(box.x + box.width * 0.25, box.y + 50)
    await page.mouse.down()
    await page.mouse.move(box.x + box.width * 0.5, box.y + 60, { steps: 4 })
    await page.mouse.up()
    const { curves } = (await (await finer).json()) as Curves
    expect(curves[0].steps[0]).toBeGreaterThan(90)
    expect(curves[0].steps.at(-1)).toBeLessThan(215)
    expect(page.url()).toMatch(/smooth=0\.9/)
    expect(page.url()).toMatch(/axis=tokens/)
    expect(page.url()).toMatch(/logy=1/)
    await page.getByRole('button', { name: 'Show all steps' }).click()
    expect(page.url()).not.toContain('from=')
    await studio.checkAndClose(watched)
  })

  it('is zoomed, read and asked for the rows of a spike by keyboard alone', async () => {
    const watched = await studio.open('#/runs')
    const { page } = watched
    await page.getByRole('link', { name: 'all', exact: true }).focus()
    await page.keyboard.press('Enter')
    const chart = page.getByRole('application', { name: 'Loss by step' })
    await chart.waitFor()
    await chart.focus()
    await page.keyboard.press('ArrowUp')
    const figure = page.getByRole('figure', { name: 'Loss by step' })
    await figure.getByRole('status').getByText('step 300: training 9').waitFor()
    await page.keyboard.press('ArrowRight')
    await figure
      .getByRole('status')
      .getByText(/^step 301: training 0\.288/)
      .waitFor()
    const finer = page.waitForResponse((response) => response.url().includes('from='))
    await page.keyboard.press('+')
    const { curves } = (await (await finer).json()) as Curves
    // Half of steps 1 to 400, around step 301.
    expect([curves[0].steps[0], curves[0].steps.at(-1)]).toEqual([151, 351])
    await page.getByRole('button', { name: 'Show all steps' }).waitFor()
    await page.keyboard.press('-')
    await page.getByRole('button', { name: 'Show all steps' }).waitFor({ state: 'detached' })
    await page.keyboard.press('ArrowUp')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Rows of step 300' }).waitFor()
    // These events are of no real run, whose rows could be read: the console says so after the answer.
    await expect.poll(() => watched.faults.length).toBeGreaterThan(0)
    expect(watched.faults.filter((fault) => !fault.includes('422'))).toEqual([])
    watched.faults.length = 0
    await studio.checkAndClose(watched)
  })

  it('marks incidents and the best evaluation, with their texts on focus', async () => {
    const watched = await studio.open('#/runs/all')
    const { page } = watched
    await page.getByRole('button', { name: /Step 300, spike/ }).focus()
    await page.getByText('Step 300: spike: Loss 9 is 8.0').waitFor()
    await page.getByRole('button', { name: /Best evaluation: loss 0.5/ }).waitFor()
    await page.getByRole('tab', { name: 'Incidents' }).click()
    await page.getByRole('cell', { name: /spike: Loss 9/ }).waitFor()
    await studio.checkAndClose(watched)
  })

  it('shows samples of two steps as text, whatever they contain', async () => {
    const watched = await studio.open('#/runs/all?tab=samples', { width: 380 })
    const { page } = watched
    await page.getByText('upon a time').waitFor()
    await page.getByText(html).first().waitFor()
    expect(await page.title()).toBe('Runs · Tunesmith')
    await studio.checkAndClose(watched)
  })

  it('shows how its settings differ from those of another run', async () => {
    const watched = await studio.open('#/runs/all?tab=settings')
    const { page } = watched
    await page.getByRole('combobox', { name: 'Run' }).selectOption('other')
    await page.getByRole('row', { name: /learningRate 0.002 0.001 changed/ }).waitFor()
    await page.getByRole('row', { name: /model.preset test added/ }).waitFor()
    expect(await page.getByRole('row', { name: /^seed/ }).count()).toBe(0)
    await studio.checkAndClose(watched)
  })

  it('says so when its folder is deleted, and asks no more', async () => {
    const folder = join(runs, 'doomed')
    await writeEvents(folder, stepEvents(1, 5))
    const watched = await studio.open('#/runs/doomed')
    const { page } = watched
    await page.getByText('5 of 1000').waitFor()
    await rm(folder, { recursive: true })
    await page.getByText('The folder of this run was deleted.').waitFor()
    expect(await page.getByRole('button', { name: /Resume|Delete/ }).count()).toBe(0)
    expect(await page.getByText('Reconnecting …').count()).toBe(0)
    await studio.checkAndClose(watched)
  })

  it('lists checkpoints and damage', async () => {
    const watched = await studio.open('#/runs/all?tab=files')
    await watched.page.getByRole('row', { name: /200 4.9 KiB/ }).waitFor()
    await watched.page.getByText('is damaged').first().waitFor()
    await studio.checkAndClose(watched)
  })

  it('saves a chart as SVG and CSV', async () => {
    const watched = await studio.open('#/runs/all')
    const { page } = watched
    const saved = async (name: string) => {
      const download = page.waitForEvent('download')
      await page.getByRole('button', { name }).click()
      return readFile(await (await download).path(), 'utf8')
    }
    const csv = await saved('Loss by step as CSV')
    expect(csv.split('\n')[0]).toBe(
      'step,training,"training, lowest","training, highest",validation,"validation, lowest","validation, highest"',
    )
    expect(csv).toContain('\n300,9,9,9,')
    const svg = await saved('Loss by step as SVG')
    expect(svg).toContain('<svg xmlns="http://www.w3.org/2000/svg"')
    expect(svg).toContain('validation')
    await studio.checkAndClose(watched)
  })

  it('reads the rows of the step of a spike that is clicked', async () => {
    const out = join(runs, 'trained')
    const model = { type: 'gpt2', preset: 'test', config: { numLayers: 1 } }
    await pretrain(
      smallRecipe(data, out, { model, objective: { type: 'causal-lm' }, budget: { steps: 6 }, gradientNorms: 1 }),
    )
    const watched = await studio.open('#/runs/trained')
    const { page } = watched
    const over = page.getByRole('figure', { name: 'Loss by step' }).locator('.u-over')
    const answer = page.waitForResponse((response) => response.url().includes('/batch?step='))
    await over.click({ position: { x: 5, y: 40 } })
    const batch = (await (await answer).json()) as BatchRows
    // The click is on the first step, and a spike may be two steps beside it.
    const { curves } = await studio.json<Curves>('/api/runs/trained/curves?names=loss&to=3')
    const [{ steps, last }] = curves
    expect(batch.step).toBe(steps[last.indexOf(Math.max(...last.map(Number)))])
    expect(batch.rows).toHaveLength(4)
    await page.getByRole('heading', { name: `Rows of step ${batch.step}` }).waitFor()
    await page.locator('.token').first().waitFor()
    expect(page.url()).toContain(`step=${batch.step}`)
    await studio.checkAndClose(watched)
  })

  it('shows the gradient norms of its layers and the memory that was predicted', async () => {
    const watched = await studio.open('#/runs/trained')
    const { page } = watched
    const { curves } = await studio.json<Curves>('/api/runs/trained/curves?names=layer/body.layers.0')
    const [{ max }] = curves
    expect(max).toHaveLength(6)
    const row = page.getByRole('row', { name: /^layers\.0/ })
    await row
      .getByText(formatValue(Math.max(...max.map(Number))), { exact: true })
      .first()
      .waitFor()
    expect(await row.locator('path').count()).toBeGreaterThan(1)
    const strips = page.getByRole('region', { name: 'Gradient norm of each layer by step' }).getByRole('slider')
    await strips.first().focus()
    for (const key of ['End', 'ArrowLeft', 'ArrowDown']) await page.keyboard.press(key)
    const { columns } = await studio.json<RunDetails>('/api/runs/trained')
    const { curves: norms } = await studio.json<Curves>(`/api/runs/trained/curves?names=${columns.layers[1]}`)
    const wanted = `${layerName(columns.layers[1])}, step 5: ${formatValue(norms[0].max[4])}`
    expect(await page.locator('[role=slider]:focus').getAttribute('aria-valuetext')).toBe(wanted)
    await page.getByRole('figure', { name: 'Memory of the process by step' }).getByText('predicted peak').waitFor()
    const { predictedBytes } = await studio.json<RunDetails>('/api/runs/trained')
    const { rssBytes } = JSON.parse(await readFile(join(runs, 'trained/plan.json'), 'utf8'))
    expect(predictedBytes).toBe(rssBytes)
    await page.getByRole('combobox', { name: 'Show' }).selectOption('lines')
    await page.getByRole('figure', { name: 'Gradient norm by layer and step' }).getByText('layers.0').waitFor()
    await studio.checkAndClose(watched)
  })
})
