// The loss curve of a plain PyTorch loop with the same weights, order and rates: golden/reference.json, made by make-reference.py. Ours goes
// unpadded and in micro-batches, theirs padded and whole.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { referenceKinds, referenceRun } from './reference-run.ts'
import { eventsOf, lossesOf } from './small-loop.ts'

const golden = JSON.parse(readFileSync(new URL('golden/reference.json', import.meta.url), 'utf8')) as {
  losses: Record<string, number[]>
}

it.each(referenceKinds)('%s: within 0.5 % at each of 200 steps', async (kind) => {
  const theirs = golden.losses[kind]
  const ours = lossesOf(await eventsOf(referenceRun(kind)))
  expect(ours).toHaveLength(200)
  expect(theirs).toHaveLength(200)
  expect(theirs[199]).toBeLessThan(0.9 * theirs[0])
  const worst = Math.max(...ours.map((loss, i) => Math.abs(loss / theirs[i] - 1)))
  if (process.env.TUNESMITH_SHOW !== undefined) console.log(kind, 'largest relative difference', worst)
  expect(worst).toBeLessThan(0.005)
})
