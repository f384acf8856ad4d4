// Temperature and thresholds of a classifier: what is fitted is the optimum, is stored with the specialist, and is used by others.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it } from 'vitest'
import { evaluate } from '../../src/inference/index.ts'
import { finetune } from '../../src/runs/index.ts'
import { type Decisions, decisionQuality, fitDecision } from '../../src/tasks/learning/fit-classification.ts'

const scratch = mkdtempSync(join(tmpdir(), 'fit-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

it('finds the temperature and the thresholds by hand', () => {
  // Of records with log-odds 2, three in four are right: the temperature t with 1 / (1 + exp(-2 / t)) = 3/4 is 2 / ln 3.
  const high = 1 / (1 + Math.exp(-2))
  const all = [0, 0, 0, 1].map((right): Decisions => ({ probabilities: [high, 1 - high], right: [right] }))
  const both = { temperature: true, thresholds: false }
  const { temperature } = fitDecision(all, 2, both, { multiLabel: false, usual: 0.5 })
  expect(temperature).toBeCloseTo(2 / Math.log(3), 4)
  const quality = (scale: number) => decisionQuality(all, 2, { temperature: scale, thresholds: [0.5, 0.5] }, false)
  expect(quality(temperature).calibrationError).toBeCloseTo(0, 4)
  expect(quality(1).calibrationError).toBeCloseTo(high - 0.75, 6)
  expect(quality(temperature).negativeLogLikelihood).toBeLessThan(quality(1).negativeLogLikelihood)
  // The first label is best from 0.2 on; the second has no record; the third is perfect at 0.5.
  const labelled: Decisions[] = [
    { probabilities: [0.3, 0.1, 0.9], right: [0, 2] },
    { probabilities: [0.25, 0.2, 0.1], right: [0] },
    { probabilities: [0.1, 0.1, 0.1], right: [] },
  ]
  const found = fitDecision(labelled, 3, { temperature: false, thresholds: true }, { multiLabel: true, usual: 0.5 })
  expect(found.thresholds?.map((one) => Number(one.toFixed(3)))).toEqual([0.175, 0.5, 0.5])
})

it('is stored with the specialist, reported, and used by evaluate', async () => {
  const rows = Array.from({ length: 12 }, (_, i) => ({
    text: `times ${i}`,
    label: i % 3 ? ['best'] : ['best', 'worst'],
  }))
  const data = join(scratch, 'moods.jsonl')
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const out = join(scratch, 'run')
  const base = fileURLToPath(new URL('golden/harness/model', import.meta.url))
  const settings = { multiLabel: true, fit: ['temperature', 'thresholds'] } as const
  const recipe = { base, task: 'sequence-classification', settings, data, validation: data, budget: { steps: 3 }, out }
  await finetune(recipe as never)
  const read = (name: string) => JSON.parse(readFileSync(join(out, 'model', name), 'utf8'))
  const { settings: stored } = read('task.json')
  expect(stored.temperature).not.toBe(1)
  expect(Object.keys(stored.thresholds)).toEqual(['best', 'worst'])
  const { details, metrics } = read('evaluation.json')
  expect(details.fitted.after.negativeLogLikelihood).toBeLessThanOrEqual(details.fitted.before.negativeLogLikelihood)
  expect(details.fitted.after.f1Macro).toBeGreaterThanOrEqual(details.fitted.before.f1Macro)
  expect(details.fitted.after.f1Macro).toBeCloseTo(metrics.f1Macro.value, 9)
  const again = (await evaluate({ model: out, data })) as unknown as { metrics: typeof metrics }
  expect(again.metrics.f1Macro.value).toBeCloseTo(metrics.f1Macro.value, 9)
  const single = { ...recipe, out: join(scratch, 'single'), settings: { fit: ['thresholds'] } }
  await expect(finetune(single as never)).rejects.toThrow(/fit: thresholds.*without `multiLabel`/)
})
