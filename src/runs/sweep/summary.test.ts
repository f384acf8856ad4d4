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
const clear = async (...runs: ReturnType<typeof run>[]) => (await summarize(runs as never)).clear

it('takes the confidence intervals where each setting has one run', async () => {
  expect(await clear(run(8, 0, 0.9, 0.88, 0.92), run(4, 0, 0.8, 0.77, 0.83))).toBe(true)
  expect(await clear(run(8, 0, 0.9, 0.85, 0.95), run(4, 0, 0.89, 0.84, 0.94))).toBe(false)
  expect(await clear(run(8, 0, 0.9, 0.85, 0.95))).toBeUndefined()
})

it('takes the range over seeds where each setting has several', async () => {
  const eights = [run(8, 0, 0.9, 0.5, 1), run(8, 1, 0.92, 0.5, 1)]
  expect(await clear(...eights, run(4, 0, 0.8, 0.5, 1), run(4, 1, 0.85, 0.5, 1))).toBe(true)
  expect(await clear(...eights, run(4, 0, 0.8, 0.5, 1), run(4, 1, 0.91, 0.5, 1))).toBe(false)
})
