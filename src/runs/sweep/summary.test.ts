// Whether the best setting stands out, from folders that hold nothing but an evaluation. Numbers are made up.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { summarize } from './summary.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-summary-'))
afterAll(() => rmSync(root, { recursive: true }))

/** A finished run of a rank and a seed with its accuracy and interval. */
const run = (rank: number, seed: number, value: number, low: number, high: number) => {
  const name = `rank=${rank},seed=${seed}`
  const folder = join(root, `${name}-${value}-${low}`)
  mkdirSync(join(folder, 'model'), { recursive: true })
  const metrics = { accuracy: { value, low, high } }
  writeFileSync(join(folder, 'model', 'evaluation.json'), JSON.stringify({ mainMetric: 'accuracy', metrics }))
  return { name, folder, over: { rank, seed }, status: 'finished' as const, number: 0, of: 0 }
}
const recipeIn = (out: string) => ({
  command: 'finetune',
  base: '/b',
  task: 'sequence-classification',
  data: '/d',
  out,
})
const clear = async (...runs: ReturnType<typeof run>[]) => (await summarize(runs as never)).clear

it('takes the confidence intervals where each setting has one run', async () => {
  expect(await clear(run(8, 0, 0.9, 0.88, 0.92), run(4, 0, 0.8, 0.77, 0.83))).toBe(true)
  expect(await clear(run(8, 0, 0.9, 0.85, 0.95), run(4, 0, 0.89, 0.84, 0.94))).toBe(false)
  expect(await clear(run(8, 0, 0.9, 0.85, 0.95))).toBeUndefined()
})

it('names the runs that have another metric, or none', async () => {
  const [first, other, none] = [run(8, 0, 0.9, 0.88, 0.92), run(4, 0, 0.8, 0.77, 0.83), run(2, 0, 0.7, 0.6, 0.8)]
  const metrics = { auc: { value: 0.99, low: 0.9, high: 1 } }
  writeFileSync(join(other.folder, 'model', 'evaluation.json'), JSON.stringify({ mainMetric: 'auc', metrics }))
  rmSync(join(none.folder, 'model', 'evaluation.json'))
  writeFileSync(join(none.folder, 'run.json'), JSON.stringify(recipeIn(none.folder)))
  const { metric, settings, unranked } = await summarize([first, other, none] as never)
  expect([metric, settings.length]).toEqual(['accuracy', 1])
  expect(unranked).toEqual([{ name: other.name, metric: 'auc' }, { name: none.name }])
})

const seeds = (rank: number, values: number[], half = 0.01) =>
  values.map((value, seed) => run(rank, seed, value, value - half, value + half))

it("tests settings by Welch's t-test where each has three seeds, and leaves two seeds open", async () => {
  expect(await clear(...seeds(8, [0.9, 0.92, 0.91]), ...seeds(4, [0.8, 0.81, 0.83]))).toBe(true)
  expect(await clear(...seeds(8, [0.9, 0.92, 0.91]), ...seeds(4, [0.8, 0.85, 0.9]))).toBe(false)
  expect(await clear(...seeds(8, [0.9, 0.92]), ...seeds(4, [0.8, 0.85]))).toBeUndefined()
  expect(await clear(...seeds(8, [0.9, 0.92]), ...seeds(4, [0.8]))).toBeUndefined()
  const { settings } = await summarize([...seeds(8, [0.9, 0.92, 0.91]), ...seeds(4, [0.8, 0.85, 0.9])] as never)
  // SciPy, as in seed-test.test.ts.
  expect(settings[1].difference?.probability).toBeCloseTo(0.1689034675625472, 10)
  expect(settings[1].difference).toMatchObject({ seeds: 3 })
})

it('ranks a setting with a failed run after those without, and calls no winner clear then', async () => {
  const [good, lost] = seeds(8, [0.99, 0.99])
  const failed = { ...lost, status: 'failed' as const, message: 'The loss is not finite.' }
  const found = await summarize([good, failed, ...seeds(4, [0.8, 0.81])] as never)
  expect(found.settings.map(({ over, failed: count, of }) => [over.rank, count, of])).toEqual([
    [4, undefined, 2],
    [8, 1, 2],
  ])
  expect(found.clear).toBeUndefined()
})

it('has intervals over seeds that are no narrower than those of the runs', async () => {
  const { settings } = await summarize([...seeds(8, [0.5, 0.5], 0.05), ...seeds(4, [0.1, 0.3], 0.05)] as never)
  expect(settings[0].interval?.low).toBeCloseTo(0.45, 12)
  expect(settings[0].interval?.high).toBeCloseTo(0.55, 12)
  // Student's t: 0.2 ± 12.706204736 · 0.1.
  expect(settings[1].interval?.low).toBeCloseTo(0.2 - 1.2706204736, 8)
})

it('tests settings against the best on the splits that they share', async () => {
  const split = (rank: number, fold: number, value: number) => {
    const made = run(rank, 0, value, 0, 1)
    const recipe = { ...recipeIn(made.folder), split: { folds: 3, fold } }
    writeFileSync(join(made.folder, 'run.json'), JSON.stringify(recipe))
    return { ...made, name: `${made.name},fold=${fold}`, over: { rank, 'split.fold': fold } }
  }
  const eights = [0.9, 0.91, 0.93].map((value, fold) => split(8, fold, value))
  const fours = [0.88, 0.9, 0.9].map((value, fold) => split(4, fold, value))
  const { settings, clear } = await summarize([...fours, ...eights] as never)
  expect(settings.map(({ over }) => over)).toEqual([{ rank: 8 }, { rank: 4 }])
  // By hand: differences 0.02, 0.01, 0.03; two thirds of the data train and one third validates, so the error is √((1/3 + 1/2) · 0.0001)
  // and t = 0.02 / 0.00912871 = 2.19089, of which with 2 degrees of freedom p = 1 − t/√(2 + t²) = 0.1598.
  expect(settings[1].difference).toMatchObject({ splits: 3 })
  expect(settings[1].difference?.value).toBeCloseTo(0.02, 10)
  expect(settings[1].difference?.probability).toBeCloseTo(0.1598, 3)
  expect(settings[0].difference).toBeUndefined()
  expect(clear).toBe(false)
})
