// ZeRO-3: each process has a part of all weights, and those of a layer are gathered while it runs. Losses, metrics and models are those of
// one process, checkpoints have a part of each process and open with any number, and a lost process costs nothing but its steps. Groups
// of processes do several runs each, as starting them takes longer than training.
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModel } from '../../src/checkpoint/index.ts'
import { type PretrainInput, pretrain, resume } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { isFull } from '../grid.ts'
import { eventsOf, remainsOf } from '../training/small-run.ts'
import { makeParallelRecipes, parallelKinds, trainAlone } from './parallel-recipes.ts'
import {
  evaluationsOf,
  expectMetrics,
  type GroupOutcome,
  largestDifference,
  lossesOf,
  runTogether,
} from './parallel-runs.ts'

let made: Awaited<ReturnType<typeof makeParallelRecipes>>
const shard = 'parameters'
/** Several buckets in a layer, though the model is small. */
const buckets = { TUNESMITH_BUCKET_MEGABYTES: '0.02' }
const steps = 20
const often = { budget: { steps }, evaluate: { steps: 10 }, checkpoint: { steps: 5 } }
const single = () => made.recipesFor('one', often)
const three = () => ({
  ...made.recipesFor('three', { ...often, shard }),
  causal: made.causal('three-causal', { ...often, evaluate: {}, shard, sample: { steps: 8 } }),
})
/** Runs that are stopped in between have names of their own, as an event is for runs by name. */
const down = () => made.masked('down-stop', { ...often, shard, optimizer: { type: 'adamw' } })
const up = () => made.masked('up-stop', { ...often, shard })
const adapter = () =>
  made.classes('lora-stop', { ...often, shard, variant: 'lora', adapter: { rank: 4, dropout: 0.1 } })
const low = (name: string) => made.causal(name, { ...often, shard, precision: 'bfloat16', average: { decay: 0.9 } })
const masked = (name: string) => made.masked(name, { ...often, shard })
const refused = () => [
  made.masked('free', { shard, optimizer: { type: 'adamw-schedule-free' }, average: undefined }),
  // Whole float32 weights are where their parameter is updated, not where its pieces are.
  made.masked('averaged', { shard, optimizer: { type: 'muon' }, precision: 'bfloat16' }),
  made.masked('some', { shard, recompute: 1 }),
]

/** What is told of each group of processes. */
let outcomes: Partial<Record<'three' | 'killed' | 'stopped' | 'again', GroupOutcome>>
/** Folder with the collectives that each of three processes began. */
let orders: string

beforeAll(async () => {
  setThreads(1)
  made = await makeParallelRecipes(3)
  orders = join(made.root, 'orders')
  mkdirSync(orders)
  await trainAlone(single())
  const first = [...Object.values(three()), down()]
  const recorded = { ...buckets, RECORD_ORDER: orders }
  outcomes = {
    three: await runTogether(3, first, 'interrupt:1:6:stop', recorded),
    killed: await runTogether(2, [...refused(), masked('killed')], 'SIGKILL:1:8', buckets),
    ...(isFull && {
      stopped: await runTogether(
        2,
        [down(), up(), low('low-stop'), adapter(), masked('killed'), masked('whole')],
        'interrupt:0:13:stop',
        buckets,
      ),
      again: await runTogether(3, [up(), low('low-stop'), adapter()], '', buckets),
    }),
  }
})
afterAll(() => made.dispose())

const samplesOf = async ({ out }: { out: string }): Promise<string[]> =>
  (await eventsOf(out)).flatMap((event) => ('text' in event ? [String(event.text)] : []))

const weightsOf = async (folder: string): Promise<Map<string, number[]>> => {
  const model = await loadModel(folder)
  return new Map([...model.parameters()].map(([path, tensor]) => [path, [...tensor.toFloat32Array()]]))
}

/** The largest difference of two models, of weights around 1 or smaller. */
const distance = async (a: string, b: string): Promise<number> => {
  const [own, other] = [await weightsOf(a), await weightsOf(b)]
  expect([...own.keys()]).toEqual([...other.keys()])
  return Math.max(...[...own].map(([path, values]) => largestDifference(values, other.get(path) ?? [])))
}

it('ends without errors', () => {
  for (const { lines, codes } of [outcomes.three, outcomes.stopped, outcomes.again].filter(
    (one) => one !== undefined,
  )) {
    expect(lines.filter((line) => line.includes('error'))).toEqual([])
    expect(codes).toEqual(codes.map(() => 0))
  }
})

describe('three processes with unequal rows', () => {
  it.each(parallelKinds)('give the losses of one: %s', async (kind) => {
    const one = await lossesOf(single()[kind])
    expect(one).toHaveLength(steps)
    expect(largestDifference(await lossesOf(three()[kind]), one)).toBeLessThan(1e-6)
  })

  it('begin the same collectives in the same order, whatever delays one of them', () => {
    const [first, ...others] = [0, 1, 2].map((rank) => readFileSync(join(orders, `${rank}.txt`), 'utf8').split('\n'))
    const kinds = new Set(first.map((line) => line.split(' ')[0]))
    for (const kind of ['gather', 'beginSumParts', 'beginCollect']) expect(kinds).toContain(kind)
    expect(first.length).toBeGreaterThan(3000)
    for (const other of others) expect(other).toEqual(first)
  })

  it.each(['masked', 'full', 'lora'] as const)('give the metrics of one: %s', async (kind) => {
    const evaluations = await evaluationsOf(single()[kind])
    expect(evaluations.length).toBeGreaterThan(0)
    expectMetrics(await evaluationsOf(three()[kind]), evaluations)
  })

  it('generate samples with whole weights', async () => {
    const samples = await samplesOf(three().causal)
    expect(samples.length).toBeGreaterThan(1)
    expect(samples.every((text) => text.length > 0)).toBe(true)
  })

  it('write a checkpoint of all processes that is one model', async () => {
    const { out } = three().masked
    const checkpoint = join(out, 'checkpoints', `step-000000${steps}`)
    const files = readdirSync(checkpoint)
    for (const state of ['optimizer', 'average']) expect(files.filter((file) => file.startsWith(state))).toHaveLength(3)
    expect(readdirSync(join(checkpoint, 'model')).filter((file) => /^model-.*safetensors$/.test(file))).toHaveLength(3)
    const one = single().masked.out
    const whole = join(one, 'checkpoints', `step-000000${steps}`, 'model')
    expect(await distance(join(checkpoint, 'model'), whole)).toBeLessThan(1e-4)
    // The finished model has the average of the best checkpoint.
    expect(await distance(join(out, 'model'), join(one, 'model'))).toBeLessThan(1e-4)
    expect(await distance(join(out, 'model'), join(checkpoint, 'model'))).toBeGreaterThan(1e-3)
  })
})

describe.runIf(isFull)('another number of processes (test:full)', () => {
  it('continues three processes in two, and two in one', async () => {
    const one = await lossesOf(single().masked)
    const two = await lossesOf(down())
    expect(two.length).toBeGreaterThanOrEqual(13)
    expect(two.length).toBeLessThan(steps)
    expect((await resume(down().out)).reason).toBe('finished')
    expect(largestDifference(await lossesOf(down()), one)).toBeLessThan(1e-6)
    expect(await distance(join(down().out, 'model'), join(single().masked.out, 'model'))).toBeLessThan(1e-4)
  })

  it('continues two processes in three', async () => {
    expect(largestDifference(await lossesOf(up()), await lossesOf(single().masked))).toBeLessThan(1e-6)
    expect(largestDifference(await lossesOf(adapter()), await lossesOf(single().lora))).toBeLessThan(1e-6)
  })

  it('keeps float32 weights and their average of a run in bfloat16', async () => {
    await pretrain({ ...low('low-one'), shard: 'none' } as PretrainInput)
    const [own, one] = [await lossesOf(low('low-stop')), await lossesOf(low('low-one'))]
    expect(own).toHaveLength(steps)
    // Sums of bfloat16 products in another order.
    expect(largestDifference(own, one)).toBeLessThan(0.02)
    expect(one[0] - one[steps - 1]).toBeGreaterThan(0.3)
  })
})

describe('two processes', () => {
  it('end together where one is killed', () => {
    expect(outcomes.killed!.codes).toEqual([1, 137])
  })

  it.runIf(isFull)('resume with the same bits (test:full)', async () => {
    const [own, whole] = [masked('killed'), masked('whole')]
    expect(remainsOf(own.out)).toEqual(remainsOf(whole.out))
    expect(await lossesOf(own)).toEqual(await lossesOf(whole))
  })

  it.runIf(isFull)('give the losses of one (test:full)', async () => {
    expect(largestDifference(await lossesOf(masked('whole')), await lossesOf(single().masked))).toBeLessThan(1e-6)
  })
})

describe('sharded weights', () => {
  it('refuse what has no effect or cannot be divided, by name', async () => {
    await expect(pretrain(made.masked('alone', { shard }))).rejects.toThrow(
      /Expected several processes for `shard` parameters, got one/,
    )
    const text = outcomes.killed!.lines.join('\n')
    expect(text).toMatch(
      /that it trains for `shard`, got adamw-schedule-free.*\n.*`average` needs every float32 weight/,
    )
    expect(text).toMatch(/Expected all for `recompute` with `shard` parameters, which recomputes every layer, got 1/)
    for (const { out } of refused()) expect(existsSync(join(out, 'run.json'))).toBe(false)
  })
})
