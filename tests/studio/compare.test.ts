// The page "Compare": specialists whose predictions the test writes and the library scores, so that every number has a second source.
import { mkdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { jsonLines } from '../../src/core/index.ts'
import { writeEvaluationFiles } from '../../src/runs/engine/evaluation-files.ts'
import { factsOfRecords } from '../../src/runs/examples/run-data.ts'
import { shareRuns } from '../../src/serving/index.ts'
import type {
  PredictionPage,
  RunComparisonAnswer,
  RunEvaluation,
} from '../../src/serving/studio/types/compare-types.ts'
import { findTask, scoreIntervals, scoreRecords, type TaskRecord, taskConfig } from '../../src/tasks/index.ts'
import { browserPath, runsFolder, StudioUnderTest, stepEvent, writeEvents, writeJson } from './studio-fixture.ts'

const runs = runsFolder()
const studio = new StudioUnderTest()
studio.use({ roots: [runs] })

const task = findTask('sequence-classification')
const settings = taskConfig(task, {})
const labels = ['good', 'bad']
/** A text that would be a script if a page did not escape it. */
const evil = '<img src=x onerror="document.title=1">'

const rightLabel = (i: number) => labels[i % 2]
const otherLabel = (i: number) => labels[(i + 1) % 2]

const writeRows = (name: string, count: number): string => {
  const path = join(runs, name)
  const rows = Array.from({ length: count }, (_, i) => ({
    text: `text ${i}${i === 3 ? ` ${evil}` : ''}`,
    label: rightLabel(i),
  }))
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}

interface Specialist {
  variant: string
  randomInit?: boolean
  data: string
  wrong(i: number): boolean
  seconds?: number
  trained?: number
}

/** A finished run, as fine-tuning leaves it. */
const writeSpecialist = async (
  id: string,
  { variant, randomInit = false, data, wrong, seconds = 10, trained = 100 }: Specialist,
) => {
  const folder = join(runs, id)
  const { records } = await task.read(data, settings)
  const predictions = records.map((record: TaskRecord, i: number) => {
    const label = wrong(i) ? otherLabel(i) : rightLabel(i)
    const other = labels.find((each) => each !== label)!
    return { id: record.id, label, probabilities: { [label]: 0.8, [other]: 0.2 } }
  })
  const scored = scoreRecords(task, records, predictions, settings, labels)
  mkdirSync(join(folder, 'model'), { recursive: true })
  await writeEvaluationFiles(join(folder, 'model'), {
    result: {
      ...{ examples: records.length, tokens: 400, truncatedTokens: 0, truncatedRecords: 0, seconds: 1 },
      ...{ metrics: scoreIntervals(scored), mainMetric: 'accuracy', details: scored.details() },
    },
    records: factsOfRecords(records),
    predictions: jsonLines(predictions),
    ...{ labels, parameters: { trained, total: 1000 } },
    references: [{ name: 'majority class', metrics: { accuracy: { value: 0.5, low: 0.4, high: 0.6 } } }],
  })
  writeFileSync(join(folder, 'model', 'model.safetensors'), Buffer.alloc(trained))
  const recipe = {
    command: 'finetune',
    base: 'models/small',
    task: task.type,
    variant,
    randomInit,
    data,
    validation: data,
  }
  await writeJson(join(folder, 'run.json'), { ...recipe, pricePerHour: 3.6, out: folder })
  await writeEvents(folder, [
    ...Array.from({ length: 50 }, (_, i) => stepEvent(i + 1, { seconds: seconds / 50 })),
    { type: 'end', time: new Date(0).toISOString(), step: 50, reason: 'finished' },
  ])
}

beforeAll(async () => {
  const data = writeRows('rows.jsonl', 40)
  await writeSpecialist('full', { variant: 'full', data, wrong: (i) => i < 4, trained: 1000, seconds: 40 })
  await writeSpecialist('lora', { variant: 'lora', data, wrong: (i) => i >= 2 && i < 12 })
  await writeSpecialist('features', { variant: 'feature-based', data, wrong: (i) => i < 20, trained: 20 })
  await writeSpecialist('scratch', { variant: 'full', randomInit: true, data, wrong: (i) => i % 4 < 2, trained: 1000 })
  await writeSpecialist('elsewhere', { variant: 'lora', data: writeRows('others.jsonl', 20), wrong: () => false })
  await writeEvents(join(runs, 'pretraining'), [stepEvent(1), stepEvent(2)])
  await writeJson(join(runs, 'pretraining/run.json'), { command: 'pretrain' })
})

const chosen = (...ids: string[]) => encodeURIComponent(ids.map(encodeURIComponent).join(','))

describe('the comparison', () => {
  it('has baselines of the records that each run was scored on', async () => {
    const { references } = await studio.json<RunComparisonAnswer>(
      `/api/comparison?runs=${chosen('full', 'lora', 'elsewhere')}`,
    )
    expect(references.map(({ name, runs: scored }) => [name, [...scored].sort()])).toEqual([
      ['majority class', ['elsewhere']],
      ['majority class', ['full', 'lora']],
    ])
  })

  it('has scores, costs, families and differences of finished runs, and names the others', async () => {
    const found = await studio.json<RunComparisonAnswer>(
      `/api/comparison?runs=${chosen('full', 'lora', 'features', 'scratch', 'pretraining', 'none')}`,
    )
    expect(found.runs.map(({ id, family, randomInit, value }) => [id, family, randomInit, value])).toEqual([
      ['full', 'full', false, 0.9],
      ['lora', 'lora', false, 0.75],
      ['features', 'features', false, 0.5],
      ['scratch', 'full', true, 0.5],
    ])
    const [full, lora] = found.runs
    expect(full).toMatchObject({
      seconds: expect.closeTo(40, 6),
      trainedParameters: 1000,
      fileBytes: 1000,
      difference: null,
    })
    expect(lora.difference).toMatchObject({ to: 'full', value: expect.closeTo(-0.15, 10) })
    expect(lora.difference!.low!).toBeLessThan(-0.15)
    expect(full.pretraining).toMatchObject({ to: 'scratch', value: expect.closeTo(0.4, 10) })
    expect(found.skipped.map(({ id }) => id).sort()).toEqual(['none', 'pretraining'])
  })

  it('refuses lists that are too long or not encoded', async () => {
    const many = Array.from({ length: 33 }, (_, i) => `run${i}`)
    expect(await studio.json(`/api/comparison?runs=${chosen(...many)}`)).toMatchObject({
      error: { message: expect.stringContaining('at most 32 runs') },
    })
    expect(await studio.json('/api/comparison?runs=%25zz')).toMatchObject({
      error: { message: expect.stringContaining('Expected encoded ids') },
    })
  })

  it('finds the records where one run is right and the other wrong', async () => {
    const read = (more: string) =>
      studio.json<PredictionPage>(`/api/comparison/predictions?first=full&second=lora&count=200${more}`)
    const numbers = ({ rows }: PredictionPage) => rows.map(({ id }) => Number(id))
    const first = await read('&filter=first')
    expect(first).toMatchObject({ metric: 'accuracy', rightOrWrong: true, total: 8 })
    expect(first.counts).toEqual({ all: 40, changed: 10, first: 8, second: 2, 'both-right': 28, 'both-wrong': 2 })
    expect(numbers(first)).toEqual([4, 5, 6, 7, 8, 9, 10, 11])
    expect(numbers(await read('&filter=second'))).toEqual([0, 1])
    expect(numbers(await read('&filter=both-wrong'))).toEqual([2, 3])
    expect(numbers(await read('&filter=all&search=text+7'))).toEqual([7])
    const [row] = first.rows
    expect(row).toMatchObject({ answer: 'good', inputs: [['text', 'text 4']], scores: [1, 0] })
    expect(row.predictions.map(({ text }) => text)).toEqual(['good', 'bad'])
    expect(row.predictions[1].probabilities).toEqual([
      ['bad', 0.8],
      ['good', 0.2],
    ])
  })

  it('says why two runs cannot be compared record by record', async () => {
    expect(await studio.json('/api/comparison/predictions?first=full&second=elsewhere')).toMatchObject({
      error: { message: expect.stringContaining('scored on different records') },
    })
    expect(await studio.json('/api/runs/pretraining/evaluation')).toMatchObject({
      error: { code: 'evaluation_not_found' },
    })
  })

  it('has the confusion matrix and the calibration of a run', async () => {
    const { confusion, calibration, metrics } = await studio.json<RunEvaluation>('/api/runs/lora/evaluation')
    expect(confusion).toEqual({
      labels: ['good', 'bad'],
      cells: [
        [15, 5],
        [5, 15],
      ],
      omitted: 0,
    })
    expect(calibration).toMatchObject([{ units: 40, confidence: expect.closeTo(0.8, 10), accuracy: 0.75 }])
    expect(metrics.calibrationError.value).toBeCloseTo(0.05, 10)
  })
})

describe.skipIf(browserPath === undefined)('the page in Chromium', () => {
  it('chooses runs with a search and keeps the choice in the address', async () => {
    // What is no axis, such as a property that every object has, is the first axis.
    const watched = await studio.open('#/compare?by=constructor')
    const { page } = watched
    await page.getByRole('searchbox', { name: 'Search runs' }).fill('lora')
    await page.getByRole('checkbox', { name: /^lora/ }).check()
    await page.getByRole('searchbox', { name: 'Search runs' }).fill('full')
    await page.getByRole('checkbox', { name: /^full/ }).check()
    expect(decodeURIComponent(page.url())).toContain('runs=lora,full')
    await page.getByRole('figure', { name: 'loss by step' }).locator('canvas').waitFor()
    await page.getByRole('combobox', { name: 'By', exact: true }).selectOption('money')
    await page.getByRole('figure', { name: 'loss by money' }).locator('canvas').waitFor()
    await page.reload()
    await page.getByRole('figure', { name: 'loss by money' }).getByText('lora').waitFor()
    await studio.checkAndClose(watched)
  })

  it('draws scores against costs and has the same as a table, narrow and in the dark', async () => {
    const hash = `#/compare?runs=${chosen('full', 'lora', 'features', 'scratch')}&view=scores`
    const watched = await studio.open(hash, { width: 380 })
    const { page } = watched
    await page.getByRole('button', { name: 'Use the dark theme' }).click()
    const figure = page.getByRole('figure', { name: /accuracy against time/ })
    await figure.getByRole('link', { name: /^scratch: accuracy 0\.500 .*from random/ }).waitFor()
    expect(await figure.getByRole('link').count()).toBe(4)
    const saved = async (kind: string) => {
      const download = page.waitForEvent('download')
      await figure.getByRole('button', { name: kind }).click()
      return readFile(await (await download).path(), 'utf8')
    }
    expect(await saved('CSV')).toContain('\nmajority class,,0.5,,\n')
    const svg = await saved('SVG')
    expect(svg).toContain('xmlns="http://www.w3.org/2000/svg"')
    expect(svg).not.toContain('var(')
    await page.getByRole('combobox', { name: 'Cost', exact: true }).selectOption('disk')
    await page.getByRole('figure', { name: /accuracy against bytes on disk/ }).waitFor()
    const row = page.getByRole('row').filter({ hasText: 'lora' })
    await row.getByText(/-0\.150 \[.*p 0\./).waitFor()
    const width = await page.evaluate('document.documentElement.scrollWidth')
    expect(width).toBeLessThanOrEqual(380)
    await studio.checkAndClose(watched)
  })

  it('shows specialists by task, differing predictions and classes, and executes nothing of their texts', async () => {
    const base = `#/compare?runs=${chosen('full', 'lora', 'elsewhere')}`
    const watched = await studio.open(`${base}&view=tasks&rows=methods`)
    const { page } = watched
    const methods = page.getByRole('row').filter({ hasText: 'lora on' })
    await methods.getByRole('link').nth(1).waitFor()
    expect(await methods.getByRole('link').count()).toBe(2)
    await page.getByRole('tab', { name: 'Predictions' }).click()
    await page.getByRole('button', { name: 'Both wrong (2)' }).click()
    await page.getByText(evil).waitFor()
    await page.getByRole('button', { name: 'A right, B wrong (8)' }).click()
    await page.getByText('1–8 of 8 records').waitFor()
    await page.getByRole('tab', { name: 'Confusion and calibration' }).click()
    await page.getByRole('figure', { name: 'Reliability diagram of lora' }).waitFor()
    await page.getByText('Expected calibration error 0.050').waitFor()
    // The cells are read by keyboard alone: the counts are those of the answer above.
    const matrix = page.getByRole('grid', { name: 'Confusion matrix of lora' })
    await page.getByRole('region', { name: 'Confusion matrix of lora' }).focus()
    await page.keyboard.press('Tab')
    await page.getByRole('status').getByText('good as good: 15 of 20').waitFor()
    await page.keyboard.press('ArrowRight')
    await page.getByRole('status').getByText('good as bad: 5 of 20').waitFor()
    await page.keyboard.press('ArrowDown')
    await page.getByRole('status').getByText('bad as bad: 15 of 20').waitFor()
    await page.keyboard.press('Home')
    expect(await matrix.locator('td:focus').textContent()).toBe('5')
    expect(await page.title()).toBe('Compare · Tunesmith')
    await studio.checkAndClose(watched)
  })

  it('is one file with every view, without a server', async () => {
    const path = join(runs, 'comparison.html')
    const written = await shareRuns([join(runs, 'full'), join(runs, 'lora'), join(runs, 'elsewhere')], path)
    expect([...written.runs].sort()).toEqual(['elsewhere', 'full', 'lora'])
    await expect(shareRuns([join(runs, 'full')], path)).rejects.toThrow('which exists')
    const watched = await studio.openFile(path)
    const { page } = watched
    await page.getByRole('figure', { name: 'loss by step' }).locator('canvas').waitFor()
    await page.getByRole('tab', { name: 'Scores and costs' }).click()
    await page.getByRole('row', { name: /full .*0\.900/ }).waitFor()
    expect(await page.getByText('majority class 0.5').count()).toBe(2)
    await page.getByRole('tab', { name: 'Predictions' }).click()
    await page.getByRole('button', { name: /^A right, B wrong \(8\)/ }).click()
    await page.getByText('8 of 8 records are in this file.').waitFor()
    await page.getByRole('tab', { name: 'Confusion and calibration' }).click()
    await page.getByText('Expected calibration error').first().waitFor()
    await page.getByRole('link', { name: 'Runs' }).click()
    expect(await page.getByRole('button', { name: /Resume|tags|More/ }).count()).toBe(0)
    await page.getByRole('link', { name: 'lora', exact: true }).click()
    await page.getByRole('figure', { name: 'Loss by step' }).locator('canvas').waitFor()
    await studio.checkAndClose(watched)
  })
})
