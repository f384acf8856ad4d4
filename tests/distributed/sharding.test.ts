// ZeRO-1 and ZeRO-2: the optimizer's state is divided among processes, or gradients too. Losses are those of one process, checkpoints open with any number of
// processes, and a run that is killed or stopped resumes: with the same bits at the same number.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PretrainInput, pretrain, resume } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { eventsOf, makeSmallData, remainsOf, type SmallData, smallRecipe } from '../training/small-run.ts'
import { largestDifference, lossesOf, runTogether } from './parallel-runs.ts'

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
}, 120_000)
afterAll(() => data.dispose())

/** Several buckets, though the model is small. */
const buckets = { TUNESMITH_BUCKET_MEGABYTES: '0.02' }

describe.each(['optimizer', 'gradients'])('`shard` %s', (shard) => {
  const sharded = (name: string) => recipe(`${name}-${shard}`, { shard, gradientNorms: 2 })

  it('gives the losses of one process, and files that one process continues', async () => {
    const { codes, lines } = await runTogether(3, [sharded('three')], 'interrupt:1:10', buckets)
    expect(lines.filter((line) => line.includes('error'))).toEqual([])
    expect(codes).toEqual([0, 0, 0])
    const stopped = await lossesOf(sharded('three'))
    expect(stopped.length).toBeGreaterThanOrEqual(10)
    expect(stopped.length).toBeLessThan(50)
    expect(largestDifference(stopped, one.slice(0, stopped.length))).toBeLessThan(1e-6)
    // Three processes, then two, then one.
    const again = await runTogether(2, [sharded('three')], 'interrupt:0:27', buckets)
    expect(again.codes).toEqual([0, 0])
    const { reason } = await resume(sharded('three').out)
    expect(reason).toBe('finished')
    expect(largestDifference(await lossesOf(sharded('three')), one)).toBeLessThan(1e-6)
    const norms = await normsOf(recipe('one'))
    expect(norms.length).toBeGreaterThan(25 * 3)
    expect(largestDifference(await normsOf(sharded('three')), norms)).toBeLessThan(1e-5)
    const last = ({ out }: { out: string }) => Object.keys(remainsOf(out)).filter((name) => /^model|0050/.test(name))
    expect(last(sharded('three'))).toEqual(last(recipe('one')))
  }, 240_000)

  it('resumes with the same bits after a rank was killed', async () => {
    const short = (name: string) => recipe(`${name}-${shard}`, { shard, budget: { steps: 24 } })
    const killed = await runTogether(2, [short('killed')], 'SIGKILL:1:12', buckets)
    expect(killed.codes[0]).toBe(1)
    expect(killed.codes[1]).toBe(137)
    const { codes } = await runTogether(2, [short('killed'), short('whole')], '', buckets)
    expect(codes).toEqual([0, 0])
    expect(remainsOf(short('killed').out)).toEqual(remainsOf(short('whole').out))
    expect(await lossesOf(short('killed'))).toEqual(await lossesOf(short('whole')))
  }, 240_000)
})

describe('a sharded optimizer', () => {
  const sharded = (name: string) => recipe(name, { shard: 'optimizer' })

  it('refuses what has no effect or cannot be divided', async () => {
    await expect(pretrain(sharded('alone'))).rejects.toThrow(
      /Expected several processes for `shard` optimizer, got one/,
    )
    const muon = { ...sharded('muon'), optimizer: { type: 'muon' } } as unknown as PretrainInput & { out: string }
    const few = recipe('few', { batch: { sequences: 1 } })
    const { codes, lines } = await runTogether(2, [muon, few])
    expect(codes).toEqual([1, 1])
    expect(lines.join()).toMatch(/divided by elements for `shard`, got muon/)
    expect(existsSync(join(muon.out, 'run.json'))).toBe(false)
    expect(lines.join()).toMatch(/Expected at least 2 for `batch.sequences`/)
  }, 120_000)
})
