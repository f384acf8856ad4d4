import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { TrainingEvent } from './event-types.ts'
import { parsePage } from './fixtures/parse-html.ts'
import { bestOf, gatherHistory } from './history.ts'
import { readRunCard, writeReports } from './report.ts'
import { smoothed } from './report-sections.ts'
import { makeRunCard, type RunCardInput, renderRunCard, runCardRows, writeRunCard } from './run-card.ts'
import { trackRun } from './run-tracker.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-report-'))
afterAll(() => rmSync(root, { recursive: true }))

const time = '2026-01-02T03:04:05.000Z'
const events: TrainingEvent[] = [
  { type: 'start', time, step: 0, totalSteps: 200 },
  ...Array.from(
    { length: 200 },
    (_, i): TrainingEvent => ({
      type: 'step',
      time,
      step: i + 1,
      loss: i === 100 ? Number.NaN : 5 / Math.sqrt(i + 1),
      learningRate: 1e-3 * (1 - i / 200),
      gradientNorm: 1,
      tokens: (i + 1) * 1000,
      tokensPerSecond: 2000,
      seconds: 0.5,
      dataSeconds: 0,
      memoryBytes: 1e9,
      totalSteps: 1000,
    }),
  ),
  {
    type: 'evaluation',
    time,
    step: 100,
    metrics: { loss: 0.6, perplexity: 1.8, 'masked accuracy': 0.31 },
    seconds: 1,
    best: false,
  },
  {
    type: 'evaluation',
    time,
    step: 200,
    metrics: { loss: 0.7, perplexity: 2.0, 'masked accuracy': 0.33 },
    seconds: 1,
    best: false,
  },
  { type: 'sample', time, step: 200, prompt: '<script>alert(1)</script>', text: 'a & b "c"' },
  { type: 'incident', time, step: 101, kind: 'non-finite', message: 'loss of <row 3>' },
  { type: 'note', time, step: 1, message: 'a note' },
  { type: 'end', time, step: 200, reason: 'finished' },
]
const input: RunCardInput = {
  name: 'A run | with a bar',
  seed: 42,
  versions: { tunesmith: '0.1.0', node: 'v20', libtorch: '2.13' },
  dataHashes: { shards: 'ab'.repeat(32) },
  config: { model: { type: 'bert' }, note: 'has ``` inside' },
  hardware: { cpu: 'A CPU', arch: 'x64', platform: 'linux', threads: 2, memoryBytes: 2 ** 34, gpus: [] },
  steps: 200,
  tokens: 200_000,
  wallSeconds: 1800,
  cpuSeconds: 3500,
}

describe('the run card', () => {
  test('counts cost, energy and compute by hand', () => {
    const card = makeRunCard({ ...input, pricePerHour: 0.5, currency: 'EUR', energyJoules: 360_000, flops: 1.8e15 })
    expect(card.cost).toEqual({ amount: 0.25, currency: 'EUR', pricePerHour: 0.5 })
    const rows = Object.fromEntries(runCardRows(card))
    expect(rows).toMatchObject({
      'Energy of the processor': '0.100 kWh, 200.0 W',
      'Compute (estimate)': '1.80e+15 FLOPs, 1000 GFLOP/s',
      Cost: '0.25 EUR at 0.5 EUR per hour',
      Processor: 'A CPU, 2 threads (linux x64)',
      Memory: '16 GiB',
    })
  })

  test('leaves out what is not known and looks at the machine itself', () => {
    const { hardware, ...rest } = input
    const card = makeRunCard(rest)
    expect(card).not.toHaveProperty('cost')
    expect(runCardRows(card).map(([name]) => name)).not.toContain('Energy of the processor')
    expect(card.hardware.threads).toBeGreaterThan(0)
    expect(card.hardware.memoryBytes).toBeGreaterThan(hardware!.threads)
  })

  test('is Markdown that its content cannot break, and JSON', async () => {
    const card = makeRunCard({ ...input, results: { 'a|b': 0.5 } })
    const markdown = renderRunCard(card)
    expect(markdown).toContain('| a\\|b | 0.5 |')
    expect(markdown.match(/^`{4}(json)?$/gm)).toEqual(['````json', '````'])
    await writeRunCard(root, card)
    expect(await readRunCard(root)).toEqual(card)
    expect(readFileSync(join(root, 'run-card.md'), 'utf8')).toBe(markdown)
    writeFileSync(join(root, 'run-card.json'), '{')
    await expect(readRunCard(root)).rejects.toThrow('run-card.json')
  })
})

describe('reports', () => {
  test('are written from a run folder', async () => {
    const folder = join(root, 'run')
    const tracker = await trackRun(folder)
    events.forEach(tracker.append)
    tracker.close()
    await writeRunCard(folder, makeRunCard(input))
    const [text, html] = (await writeReports(folder, { name: 'My <run>' })).map((path) => readFileSync(path, 'utf8'))

    expect(text).toContain('My <run>: finished · 200 of 200 steps · 200k tokens · 1 min 40 s · loss 0.3536')
    for (const part of ['Loss', 'Learning rate', 'Gradient norm', 'Tokens per second', 'Evaluation: perplexity'])
      expect(text).toContain(`\n${part}\n`)
    expect(text).toContain('perplexity: 1.8 at step 100, last 2 at step 200, best 1.8 at step 100')
    expect(text).toContain('masked accuracy: 0.31 at step 100, last 0.33 at step 200, best 0.33 at step 200')
    expect(text).toContain('step 101: non-finite: loss of <row 3>')
    expect(text).toContain('Seed')

    const page = parsePage(html)
    expect(page.unbalanced).toEqual([])
    expect(page.tags).not.toContain('script')
    expect(page.tags.filter((tag) => tag === 'svg')).toHaveLength(7)
    // Nothing is fetched: no address and no attribute that could hold one.
    expect(html).not.toMatch(/https?:|\bsrc=|\bhref=|url\(|@import/)
    for (const part of [
      '<script>alert(1)</script>',
      'a & b "c"',
      'loss of <row 3>',
      'My <run>',
      'A CPU',
      'ab'.repeat(32),
    ])
      expect(page.text).toContain(part)
    // The loss that is no number breaks the line in two.
    const first = html.slice(html.indexOf('<g class="line s0">'))
    expect(first.slice(0, first.indexOf('</g>')).match(/<path/g)).toHaveLength(2)
    expect(html).not.toContain('NaN')
  })

  test('begin with the result, beside the scores of predictions that take no training', async () => {
    const folder = join(root, 'result')
    const tracker = await trackRun(folder)
    events.forEach(tracker.append)
    tracker.close()
    const references = [{ name: 'majority class', metrics: { accuracy: 0.505, f1: 0.34 } }]
    const warnings = ['accuracy 0.505 is <not> better']
    const results = { accuracy: 0.505, f1: 0.41234 }
    await writeRunCard(folder, makeRunCard({ ...input, results, mainMetric: 'accuracy', references, warnings }))
    const [text, html] = (await writeReports(folder)).map((path) => readFileSync(path, 'utf8'))
    expect(text.split('\n').slice(1, 5)).toEqual([
      '',
      'Result',
      '  accuracy 0.505 (majority class 0.505)',
      '  warning: accuracy 0.505 is <not> better',
    ])
    expect(text.indexOf('Result')).toBeLessThan(text.indexOf('\nLoss\n'))
    const page = parsePage(html)
    for (const part of ['this model', '0.4123', 'majority class', '0.34', warnings[0]])
      expect(page.text).toContain(part)
    expect(html.indexOf('Result')).toBeLessThan(html.indexOf('Curves'))
  })

  test('of a long run stay small and keep every extreme', async () => {
    const { renderHtmlReport } = await import('./html-report.ts')
    const long = await gatherHistory(
      Array.from(
        { length: 100_000 },
        (_, i) => ({ ...events[1], step: i + 1, loss: i === 77_777 ? 100 : 1 + (i % 7) }) as TrainingEvent,
      ),
    )
    const html = renderHtmlReport(long)
    expect(html.length).toBeLessThan(400_000)
    // The spike is the top of the drawing area, at 12.
    const line = /<g class="line s0">.*?<\/g>/.exec(html)![0]
    expect(line).toMatch(/[ML][\d.]+ 12L/)
  })

  test('of a run that has only begun are short', async () => {
    const { renderTextReport } = await import('./text-report.ts')
    const { renderHtmlReport } = await import('./html-report.ts')
    const history = await gatherHistory(events.slice(0, 1))
    expect(renderTextReport(history)).toBe('Run: not ended · 0 of 200 steps · 0 tokens · 0 ms\n')
    expect(renderHtmlReport(history)).not.toContain('<h2>')
  })
})

describe('history', () => {
  test('an end is no end when the run goes on', async () => {
    const end: TrainingEvent = { type: 'end', time, step: 5, reason: 'interrupted' }
    expect((await gatherHistory([end])).end).toEqual(end)
    expect((await gatherHistory([end, events[1]])).end).toBeUndefined()
  })

  test('the best is the lowest loss and the highest accuracy', async () => {
    const { evaluations } = await gatherHistory(events)
    expect(bestOf(evaluations)).toEqual({ metric: 'loss', value: 0.6, step: 100 })
    expect(bestOf(evaluations, 'masked accuracy')).toEqual({ metric: 'masked accuracy', value: 0.33, step: 200 })
    expect(bestOf({})).toBeUndefined()
  })

  test('smoothing is unbiased and passes over gaps', () => {
    const values = [4, Number.NaN, ...new Array<number>(98).fill(4)]
    const steps = values.map((_, i) => i)
    for (const value of smoothed({ steps, values }).values) expect(value).toBeCloseTo(4, 12)
  })
})
