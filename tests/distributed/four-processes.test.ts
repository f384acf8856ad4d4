// Four processes, however the run is divided: losses are those of one process, and runs of four go on in two, and those of two in three. Groups
// do many runs each, as starting them takes long. With TUNESMITH_FULL=1: 50 steps of packed, padded and unequal rows, masked and causal models,
// all weights and LoRA, and everything is continued; that takes minutes.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { setThreads } from '../../src/tensor/index.ts'
import { makeParallelRecipes, parallelKinds, trainAlone } from './parallel-recipes.ts'
import { type GroupOutcome, largestDifference, lossesOf, runTogether } from './parallel-runs.ts'
import { rankMinutes } from './rank-processes.ts'

const isFull = process.env.TUNESMITH_FULL === '1'
/** Time for a group where the machine is busy. */
const minutes = isFull ? 60 : rankMinutes
const steps = isFull ? 50 : 14
const kinds = isFull ? parallelKinds : (['masked'] as const)
const shards = ['none', 'optimizer', 'gradients', 'parameters'] as const
type Shard = (typeof shards)[number]
/** Those that are stopped and continued: what they write differs. */
const continued: readonly Shard[] = isFull ? shards : ['gradients', 'parameters']

let made: Awaited<ReturnType<typeof makeParallelRecipes>>
/** Several buckets, though the model is small. */
const buckets = { TUNESMITH_BUCKET_MEGABYTES: '0.02' }
const few = { evaluate: {}, keep: {}, average: undefined, checkpoint: { steps }, budget: { steps } }
const chosen = (name: string, more: object) => {
  const recipes = made.recipesFor(name, more)
  return Object.fromEntries(kinds.map((kind) => [kind, recipes[kind]])) as typeof recipes
}
const single = () => chosen('one', few)
const four = (shard: Shard) => chosen(`four-${shard}`, { ...few, shard })
/** Stopped by four processes, then by two, and finished by three. */
const stopped = (shard: Shard) => made.masked(`stop-${shard}`, { ...few, shard })
const allStopped = () => continued.map(stopped)
let outcomes: GroupOutcome[]

beforeAll(async () => {
  setThreads(1)
  made = await makeParallelRecipes()
  await trainAlone(single())
  const whole = shards.flatMap((shard) => Object.values(four(shard)))
  const [first, second] = [0.2, 0.6].map((share) => Math.round(share * steps))
  outcomes = [
    await runTogether(4, [...whole, ...allStopped()], `interrupt:2:${first}:stop-`, buckets, minutes),
    await runTogether(2, allStopped(), `interrupt:0:${second}`, buckets, minutes),
    await runTogether(3, allStopped(), '', buckets, minutes),
  ]
}, minutes * 60_000)
afterAll(() => made.dispose())

it('end without errors', () => {
  for (const { lines, codes } of outcomes) {
    expect(lines.filter((line) => line.includes('error'))).toEqual([])
    expect(codes).toEqual(codes.map(() => 0))
  }
})

describe.each(shards)('`shard` %s', (shard) => {
  it.each(kinds)('gives the losses of one process: %s', async (kind) => {
    const one = await lossesOf(single()[kind])
    expect(one).toHaveLength(steps)
    const difference = largestDifference(await lossesOf(four(shard)[kind]), one)
    if (isFull) console.info(`${shard}, ${kind}: ${difference.toExponential(1)}`)
    expect(difference).toBeLessThan(1e-6)
  })
})

it.each(continued)('continues four processes in two, and those in three: `shard` %s', async (shard) => {
  const difference = largestDifference(await lossesOf(stopped(shard)), await lossesOf(single().masked))
  if (isFull) console.info(`${shard}, continued: ${difference.toExponential(1)}`)
  expect(difference).toBeLessThan(1e-6)
})
