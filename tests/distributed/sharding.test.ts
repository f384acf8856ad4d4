// ZeRO-1 and ZeRO-2: the optimizer's state is divided among processes, or gradients too. Losses are those of one process, checkpoints open
// with any number of processes, and a run that is killed or stopped resumes: with the same bits at the same number. Both modes share the
// processes, as starting them takes longer than training.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PretrainInput, pretrain, resume } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { eventsOf, makeSmallData, remainsOf, type SmallData, smallRecipe } from '../training/small-run.ts'
import { type GroupOutcome, largestDifference, lossesOf, runTogether } from './parallel-runs.ts'

let data: SmallData
const recipe = (name: string, more: object = {}): PretrainInput & { out: string } => ({
  ...smallRecipe(data, join(data.root, name), {
    model: { type: 'bert', preset: 'test', config: { numLayers: 1, hiddenDropout: 0, attentionDropout: 0 } },
    // Processes have different numbers of micro-batches.
    batch: { sequences: 5, microTokens: 48 },
    budget: { steps: 50 },
    evaluate: {},
    checkpoint: { steps: 10 },
    keep: { last: 4 },
    ...more,
  }),
  out: join(data.root, name),
})
/** Norms of every layer in the steps that record them. */
const normsOf = async ({ out }: { out: string }): Promise<number[]> =>
  (await eventsOf(out)).flatMap((event) =>
    'gradientNorms' in event ? Object.values(event.gradientNorms as Record<string, number>) : [],
  )
/** The losses of one process without a stop. */
let one: number[]

beforeAll(async () => {
  setThreads(1)
  data = await makeSmallData()
  await pretrain(recipe('one', { gradientNorms: 2 }))
  one = await lossesOf(recipe('one'))
})
afterAll(() => data.dispose())

/** Several buckets, though the model is small. */
const buckets = { TUNESMITH_BUCKET_MEGABYTES: '0.02' }

const modes = ['optimizer', 'gradients'] as const
type Mode = (typeof modes)[number]

describe('three processes, then two, then one', () => {
  const sharded = (shard: Mode) => recipe(`three-${shard}`, { shard, gradientNorms: 2 })
  const stopped = new Map<Mode, number[]>()
  let three: GroupOutcome
  let two: GroupOutcome

  beforeAll(async () => {
    three = await runTogether(3, modes.map(sharded), 'interrupt:1:10', buckets)
    for (const shard of modes) stopped.set(shard, await lossesOf(sharded(shard)))
    two = await runTogether(2, modes.map(sharded), 'interrupt:0:27', buckets)
  })

  it('stop without errors', () => {
    expect([...three.lines, ...two.lines].filter((line) => line.includes('error'))).toEqual([])
    expect([...three.codes, ...two.codes]).toEqual([0, 0, 0, 0, 0])
  })

  it.each(modes)('give the losses of one process, and files that one process continues: `shard` %s', async (shard) => {
    const early = stopped.get(shard) as number[]
    expect(early.length).toBeGreaterThanOrEqual(10)
    expect(early.length).toBeLessThan(50)
    expect(largestDifference(early, one.slice(0, early.length))).toBeLessThan(1e-6)
    const between = await lossesOf(sharded(shard))
    expect(between.length).toBeGreaterThanOrEqual(27)
    expect(between.length).toBeLessThan(50)
    const { reason } = await resume(sharded(shard).out)
    expect(reason).toBe('finished')
    expect(one).toHaveLength(50)
    expect(largestDifference(await lossesOf(sharded(shard)), one)).toBeLessThan(1e-6)
    const norms = await normsOf(recipe('one'))
    expect(norms.length).toBeGreaterThan(25 * 3)
    expect(largestDifference(await normsOf(sharded(shard)), norms)).toBeLessThan(1e-5)
    const last = ({ out }: { out: string }) => Object.keys(remainsOf(out)).filter((name) => /^model|0050/.test(name))
    expect(last(sharded(shard))).toEqual(last(recipe('one')))
  })
})

describe('two processes of which one is killed', () => {
  const short = (name: string, shard: Mode) => recipe(`${name}-${shard}`, { shard, budget: { steps: 24 } })
  const killed = new Map<Mode, number[]>()
  let again: GroupOutcome

  beforeAll(async () => {
    for (const shard of modes)
      killed.set(shard, (await runTogether(2, [short('killed', shard)], 'SIGKILL:1:12', buckets)).codes)
    const all = modes.flatMap((shard) => [short('killed', shard), short('whole', shard)])
    again = await runTogether(2, all, '', buckets)
  })

  it.each(modes)('resume with the same bits: `shard` %s', async (shard) => {
    expect(killed.get(shard)).toEqual([1, 137])
    expect(again.codes).toEqual([0, 0])
    expect(remainsOf(short('killed', shard).out)).toEqual(remainsOf(short('whole', shard).out))
    expect(await lossesOf(short('killed', shard))).toEqual(await lossesOf(short('whole', shard)))
  })
})

describe('a sharded optimizer', () => {
  const sharded = (name: string) => recipe(name, { shard: 'optimizer' })

  it('refuses what has no effect or cannot be divided', async () => {
    await expect(pretrain(sharded('alone'))).rejects.toThrow(
      /Expected several processes for `shard` optimizer, got one/,
    )
    const type = 'adamw-schedule-free'
    const free = { ...sharded('free'), optimizer: { type } } as unknown as PretrainInput & { out: string }
    const few = recipe('few', { batch: { sequences: 1 } })
    const { codes, lines } = await runTogether(2, [free, few])
    expect(codes).toEqual([1, 1])
    expect(lines.join()).toMatch(/evaluates the weights that it trains for `shard`, got adamw-schedule-free/)
    expect(existsSync(join(free.out, 'run.json'))).toBe(false)
    expect(lines.join()).toMatch(/Expected at least 2 for `batch.sequences`/)
  })
})
