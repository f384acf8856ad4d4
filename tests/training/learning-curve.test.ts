// `--over.share 0.1,0.3,1`: a learning curve from the command line, from runs of their own to the chart of the score against the share.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readFinetuneData } from '../../src/runs/finetune/data.ts'
import { type FinetuneRecipe, pretrain, readRunRecipe } from '../../src/runs/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
const at = (...names: string[]) => join(data.root, ...names)
const rows = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => {
    const [telling, label] = i % 2 === 0 ? ['green', 'plant'] : ['stone', 'rock']
    return JSON.stringify({ text: `the ${telling} house ${from + i}`, label })
  }).join('\n')

beforeAll(async () => {
  data = await makeSmallData()
  await pretrain(smallRecipe(data, at('base'), { budget: { steps: 1 }, keep: { last: 1 } }))
  writeFileSync(at('train.jsonl'), rows(0, 200))
  writeFileSync(at('dev.jsonl'), rows(1000, 20))
})
afterAll(() => data.dispose())

it('--over.share 0.1,0.3,1 trains on nested parts, scores all on the same records, and shows the curve', async () => {
  const argv = ['sweep', '--base', at('base'), '--task', 'sequence-classification', '--data', at('train.jsonl')]
    .concat(['--validation', at('dev.jsonl'), '--over.share', '0.1,0.3,1', '--out', at('curve')])
    .concat(['--batch.sequences', '8', '--budget.epochs', '2', '--max-length', '16', '--no-untrained-baseline'])
  const { code, stdout, stderr } = await runHere([...argv, '--json'])
  expect([code, stderr]).toEqual([0, expect.anything()])
  const found = JSON.parse(stdout) as { settings: { over: { share: number }; runs: string[] }[] }
  expect(found.settings.map(({ over }) => over.share).sort()).toEqual([0.1, 0.3, 1])
  const facts = found.settings
    .map(({ over, runs: [run] }) => {
      const evaluation = JSON.parse(readFileSync(at('curve', run, 'model', 'evaluation.json'), 'utf8')) as {
        records: { sha256: string; count: number }
        metrics: { accuracy: { value: number; low: number; high: number } }
      }
      const steps = readFileSync(at('curve', run, 'events.jsonl'), 'utf8').match(/"type":"step"/g)?.length ?? 0
      return { share: over.share, run, steps, ...evaluation }
    })
    .sort((a, b) => a.share - b.share)
  expect(new Set(facts.map(({ records }) => records.sha256)).size).toBe(1)
  for (const { records, metrics } of facts) {
    expect(records.count).toBe(20)
    expect(metrics.accuracy.low).toBeLessThanOrEqual(metrics.accuracy.value)
    expect(metrics.accuracy.high).toBeGreaterThanOrEqual(metrics.accuracy.value)
  }
  const parts: Set<string>[] = []
  for (const { run, steps } of facts) {
    const recipe = (await readRunRecipe(at('curve', run))) as unknown as FinetuneRecipe
    const { train } = await readFinetuneData(recipe)
    parts.push(new Set(train.map((record) => (record as unknown as { text: string }).text)))
    // Two epochs in steps of 8 of as many records as the share takes.
    expect(steps).toBe(Math.ceil((2 * train.length) / 8))
  }
  expect(parts[0].size).toBeLessThan(parts[1].size)
  expect([...parts[0]].every((text) => parts[1].has(text))).toBe(true)
  expect(parts[2].size).toBe(200)
  // The same command shows the finished runs.
  const again = await runHere(argv)
  expect(again.code).toBe(0)
  for (const share of ['0.1', '0.3', '1']) expect(again.stdout).toMatch(new RegExp(`share[ =]${share}|\\b${share}\\b`))
})
