// Optimizers that need whole parameters, divided in every way (ZeRO-1, 2 and 3): Muon orthogonalises matrices, Adafactor has rows and
// columns, 8-bit AdamW blocks of codes. Losses are those of one process, checkpoints open with any number of processes, and a run that is
// interrupted resumes with the same bits. All runs share the processes, as starting them takes longer than training.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PretrainInput, pretrain, resume } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { makeSmallData, remainsOf, type SmallData, smallRecipe } from '../training/small-run.ts'
import { type GroupOutcome, largestDifference, lossesOf, runTogether } from './parallel-runs.ts'

type Recipe = PretrainInput & { out: string }

const optimizers = {
  muon: { type: 'muon' },
  adafactor: { type: 'adafactor', beta1: 0.5 },
  'adamw-8bit': { type: 'adamw-8bit' },
} as const
const names = Object.keys(optimizers) as (keyof typeof optimizers)[]
const modes = ['optimizer', 'gradients', 'parameters'] as const
const cases = names.flatMap((optimizer) => modes.map((shard) => [optimizer, shard] as const))
type Case = (typeof cases)[number]
/** Several buckets, though the model is small. */
const buckets = { TUNESMITH_BUCKET_MEGABYTES: '0.08' }
const steps = 16

let data: SmallData
const recipe = (name: string, optimizer: keyof typeof optimizers, more: object = {}): Recipe => {
  const out = join(data.root, `${name}-${optimizer}`)
  // Matrices large enough for blocks of codes.
  const config = { numLayers: 2, hiddenSize: 64, intermediateSize: 128, numHeads: 4 }
  return {
    ...smallRecipe(data, out, {
      model: { type: 'bert', preset: 'test', config },
      batch: { sequences: 5, microTokens: 64 },
      budget: { steps },
      optimizer: optimizers[optimizer],
      learningRate: optimizer === 'adafactor' ? 1 : 3e-3,
      evaluate: {},
      checkpoint: { steps: 4 },
      keep: { last: 4 },
      ...more,
    }),
    out,
  }
}
const sharded = (name: string, [optimizer, shard]: Case, more: object = {}): Recipe =>
  recipe(`${name}-${shard}`, optimizer, { shard, ...more })
/** Every optimizer and every mode once, with float32 masters of bfloat16 weights. */
const some = names.map((optimizer, i) => [optimizer, modes[2 - i]] as const)
const low = (name: string, one: Case): Recipe => sharded(name, one, { precision: 'bfloat16', average: undefined })
/** Rounding of other sums moves codes of 8 bits. */
const tolerance = { muon: 1e-6, adafactor: 1e-6, 'adamw-8bit': 1e-4 }

let three: GroupOutcome
let two: GroupOutcome
let again: GroupOutcome
const early = new Map<string, number[]>()

beforeAll(async () => {
  setThreads(1)
  data = await makeSmallData()
  for (const name of names) await pretrain(recipe('one', name))
  const all = cases.map((one) => sharded('all', one))
  three = await runTogether(3, all, 'interrupt:1:4', buckets)
  for (const { out } of all) early.set(out, await lossesOf({ out }))
  const stopped = some.map((one) => low('stopped-all', one))
  // Only runs with this name are stopped.
  two = await runTogether(
    2,
    [...all, ...stopped, ...some.map((one) => low('undisturbed', one))],
    'interrupt:0:9:all',
    buckets,
  )
  again = await runTogether(2, stopped, '', buckets)
})
afterAll(() => data.dispose())

it('end without errors', () => {
  for (const { lines, codes } of [three, two, again]) {
    expect(lines.filter((line) => line.includes('error'))).toEqual([])
    expect(codes).toEqual(codes.map(() => 0))
  }
})

describe('three processes, then two, then one', () => {
  it.each(cases)('give the losses of one process: %s, `shard` %s', async (optimizer, shard) => {
    const run = sharded('all', [optimizer, shard])
    const one = await lossesOf(recipe('one', optimizer))
    expect(one).toHaveLength(steps)
    expect(one.at(-1)).toBeLessThan(one[0])
    const first = early.get(run.out) as number[]
    expect(first.length).toBeGreaterThanOrEqual(4)
    expect(first.length).toBeLessThan(9)
    expect((await lossesOf(run)).length).toBeLessThan(steps)
    const { reason } = await resume(run.out)
    expect(reason).toBe('finished')
    expect(largestDifference(await lossesOf(run), one)).toBeLessThan(tolerance[optimizer])
    const files = ({ out }: Recipe) => Object.keys(remainsOf(out)).filter((file) => file.startsWith('model'))
    expect(files(run)).toEqual(files(recipe('one', optimizer)))
  })
})

it.each(some)('resume with the same bits at the same number of processes: %s, `shard` %s', async (...one) => {
  const [stopped, undisturbed] = [low('stopped-all', one), low('undisturbed', one)]
  expect(again.lines.filter((line) => line.includes('"finished"')).length).toBeGreaterThanOrEqual(some.length)
  // The stop left a checkpoint of its own.
  const last = ({ out }: Recipe) => Object.entries(remainsOf(out)).filter(([file]) => /^model|0016\//.test(file))
  expect(last(undisturbed).length).toBeGreaterThan(8)
  expect(last(stopped)).toEqual(last(undisturbed))
  const losses = await lossesOf(undisturbed)
  expect(losses).toHaveLength(steps)
  expect(await lossesOf(stopped)).toEqual(losses)
})
