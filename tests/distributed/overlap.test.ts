// Gradients that are exchanged during the backward pass have the bits of those that are exchanged after it.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { makeSmallData, remainsOf, type SmallData, smallRecipe } from '../training/small-run.ts'
import { lossesOf, runTogether } from './parallel-runs.ts'

let data: SmallData
beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

/** Recipes with several micro-batches: sums of bfloat16 gradients, and layers that are recomputed. */
const recipes = (name: string): { out: string }[] =>
  [{ precision: 'bfloat16' }, { recompute: 'all' }].map((more, i) => {
    const out = join(data.root, `${name}-${i}`)
    const steps = { budget: { steps: 10 }, checkpoint: { steps: 10 }, evaluate: {}, keep: {}, average: undefined }
    return { ...smallRecipe(data, out, { ...steps, ...more, batch: { sequences: 7, microTokens: 48 } }), out }
  })
/** Several buckets, though the model is small. */
const buckets = { TUNESMITH_BUCKET_MEGABYTES: '0.02' }

it('gives the same bits during the backward pass and after it', async () => {
  const during = await runTogether(2, recipes('during'), '', buckets)
  const after = await runTogether(2, recipes('after'), '', { ...buckets, TUNESMITH_OVERLAP: 'off' })
  expect([...during.codes, ...after.codes]).toEqual([0, 0, 0, 0])
  for (const [i, own] of recipes('during').entries()) {
    const losses = await lossesOf(own)
    expect(losses).toHaveLength(10)
    expect(losses).toEqual(await lossesOf(recipes('after')[i]))
    expect(remainsOf(own.out)).toEqual(remainsOf(recipes('after')[i].out))
  }
})
