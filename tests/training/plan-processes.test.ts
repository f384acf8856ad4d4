// Plans of runs in several processes: what a process exchanges and how long it waits, by arithmetic.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PlannedRow, type PlanOptions, planRun, renderPlanPage } from '../../src/runs/index.ts'
import { ringCost } from '../../src/runs/plan/machines.ts'
import { timelineOf, timeOf } from '../../src/runs/plan/step-time.ts'
import type { StepMark } from '../../src/training/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

const recipe = (more: object = {}) => ({
  ...smallRecipe(data, `${data.root}/run`, { average: undefined, ...more }),
  command: 'pretrain',
})
const planOf = async (more: object, options: PlanOptions): Promise<PlannedRow> => {
  const { rows } = await planRun(recipe(more), { story: false, ...options })
  return rows[0]
}
const collectives = ({ processes }: PlannedRow) =>
  Object.fromEntries((processes?.collectives ?? []).map(({ kind, ...one }) => [kind, one]))

describe('rings', () => {
  test('send what their algorithms say', () => {
    const cost = (kind: 'sum' | 'sum of parts' | 'gather', library: 'nccl' | 'gloo') =>
      ringCost({ kind, bytes: 800 }, { size: 8, library })
    expect(cost('sum', 'nccl')).toEqual({ steps: 14, sentBytes: 1400 })
    expect(cost('sum of parts', 'nccl')).toEqual({ steps: 7, sentBytes: 700 })
    // Gloo sums everything everywhere, and each process takes its part.
    expect(cost('sum of parts', 'gloo')).toEqual({ steps: 14, sentBytes: 1400 })
    expect(cost('gather', 'gloo')).toEqual({ steps: 7, sentBytes: 700 })
  })

  test('are waited for only where nothing is left to compute', () => {
    const at = (flops: number, mark: StepMark) => ({ mark, flops })
    const marks = [
      at(100, { type: 'step' }),
      at(200, { type: 'begin', number: 0, kind: 'sum', bytes: 20 }),
      at(205, { type: 'begin', number: 1, kind: 'sum', bytes: 20 }),
      at(300, { type: 'wait', number: 0 }),
      at(300, { type: 'begin', number: 2, kind: 'sum', bytes: 40 }),
      at(310, { type: 'wait', number: 1 }),
      at(310, { type: 'wait', number: 2 }),
      at(320, { type: 'step' }),
    ]
    // Two processes send 20 bytes of a sum of 20: 2 s each beside 100 s of computing, then 4 s beside 1 s. One step of latency is 0.1 s.
    const network = { bandwidth: 10, latency: 0.1, source: '' }
    const { seconds, communicating, waiting } = timeOf(timelineOf(marks, 1), { count: 2, library: 'gloo' }, 10, network)
    expect(communicating).toBeCloseTo(2.2 + 2.2 + 4.2)
    expect(waiting).toBeCloseTo(4.2 - 1)
    expect(seconds).toBeCloseTo(22 + 3.2)
  })
})

describe('a process of several', () => {
  const gpu = { gpu: 'a100', count: 4 }

  test('sums all gradients once in a step, and has its rows only', async () => {
    const row = await planOf({ batch: { sequences: 8 } }, gpu)
    const one = await planOf({ batch: { sequences: 8 } }, { gpu: 'a100' })
    expect(row.processes).toMatchObject({ count: 4, rank: 0, library: 'nccl', rows: 2 })
    const { sum, message } = collectives(row)
    expect(sum.bytes).toBe(4 * row.parameters)
    expect(sum.sentBytes).toBeCloseTo(2 * 0.75 * 4 * row.parameters)
    expect(message.calls).toBe(1)
    expect(one.processes).toBeUndefined()
    // Rows are as long as others here, so that the parts of a batch add up to it.
    expect(row.flopsPerStep / one.flopsPerStep).toBeGreaterThan(0.95)
    expect(row.flopsPerStep / one.flopsPerStep).toBeLessThan(1.05)
    expect(row.processes!.flopsPerStep / row.flopsPerStep).toBeCloseTo(0.25, 1)
    const forward = ({ memory }: PlannedRow) => memory.phases.find(({ phase }) => phase === 'forward')!.peakBytes
    expect(forward(row)).toBeLessThan(forward(one))
  })

  test('collects updated weights with a shard of the optimizer, and has a part of its state', async () => {
    const state = ({ memory }: PlannedRow) => memory.holders.find(({ label }) => label === 'optimizer state')!.bytes
    const none = await planOf({ batch: { sequences: 8 } }, gpu)
    const row = await planOf({ batch: { sequences: 8 }, shard: 'optimizer' }, gpu)
    const { gather, 'sum of parts': parts } = collectives(row)
    const padded = row.parameters + 4 * 8
    for (const { bytes } of [gather, parts]) {
      expect(bytes).toBeGreaterThanOrEqual(4 * row.parameters)
      expect(bytes).toBeLessThan(4 * padded)
    }
    expect(state(row) / state(none)).toBeCloseTo(0.25, 1)
  })

  test('exchanges gradients in every micro-batch with a shard of them', async () => {
    const batch = { sequences: 16, microTokens: 64 }
    const sums = collectives(await planOf({ batch, shard: 'optimizer' }, gpu))['sum of parts']
    const every = collectives(await planOf({ batch, shard: 'gradients' }, gpu))['sum of parts']
    expect(every.calls / sums.calls).toBe(2)
  })

  test('gathers the weights of layers twice in a micro-batch with a shard of them', async () => {
    const row = await planOf({ batch: { sequences: 8, microTokens: 512 }, shard: 'parameters' }, gpu)
    const { gather, 'sum of parts': parts } = collectives(row)
    // The last layer stays between its passes: here it is the only one, and the rest is gathered once.
    expect(gather.bytes / parts.bytes).toBeCloseTo(1, 2)
    const three = await planOf(
      {
        batch: { sequences: 8, microTokens: 512 },
        shard: 'parameters',
        model: { type: 'bert', preset: 'test', config: { numLayers: 3 } },
      },
      gpu,
    )
    const all = collectives(three)
    const layer = (all['sum of parts'].bytes - parts.bytes) / 2
    expect(all.gather.bytes - all['sum of parts'].bytes).toBeCloseTo(2 * layer, -3)
  })

  test('of 512 is planned in seconds, with a 512th of the state', async () => {
    const started = performance.now()
    const config = { numLayers: 2, hiddenSize: 512, numHeads: 8, intermediateSize: 2048 }
    const model = { type: 'bert', preset: 'test', config }
    const more = { batch: { sequences: 1024 }, model, shard: 'parameters', evaluate: {}, keep: { last: 1 } }
    const row = await planOf(more, { gpu: 'h100', count: 512, interconnect: 'infiniband-400' })
    expect(performance.now() - started).toBeLessThan(60_000)
    expect(row.processes).toMatchObject({ count: 512, rows: 2 })
    const { gather } = collectives(row)
    expect(gather.sentBytes / gather.bytes).toBeCloseTo(511 / 512)
    expect(row.step!.waiting).toBeGreaterThan(0)
    expect(row.step!.waiting).toBeLessThanOrEqual(row.step!.communicating + 1e-12)
    expect(row.costs?.seconds).toBeCloseTo(20 * row.step!.seconds)
  })

  test('fits by dividing what it holds, from the optimizer to the weights, before anything costs time', async () => {
    // Weights are most of what it holds.
    const config = { numLayers: 4, hiddenSize: 128, numHeads: 4, intermediateSize: 512 }
    const own = { batch: { sequences: 8, microTokens: 256 }, model: { type: 'bert', preset: 'test', config } }
    const heldWith = async (shard: string) => (await planOf({ ...own, shard }, gpu)).memory.heldBytes
    const [none, optimizer, gradients, parameters] = [
      await heldWith('none'),
      await heldWith('optimizer'),
      await heldWith('gradients'),
      await heldWith('parameters'),
    ]
    expect(optimizer).toBeLessThan(none)
    const within = (memory: number, more: object = {}, options: PlanOptions = gpu) =>
      planRun(recipe({ ...own, ...more }), { story: false, ...options, fit: { memory } })
    expect((await within(none)).fit).toMatchObject({ changes: {}, binds: [] })
    const { fit } = await within((none + optimizer) / 2)
    expect(fit).toMatchObject({ changes: { shard: 'optimizer' }, binds: ['memory'] })
    expect(fit?.plan.memory.heldBytes).toBe(optimizer)
    const least = Math.min(optimizer, gradients)
    expect(parameters).toBeLessThan(least)
    expect((await within((least + parameters) / 2)).fit?.changes).toEqual({ shard: 'parameters' })
    // What the recipe divides stays as it is, and one process has nothing to divide.
    expect((await within(optimizer, { shard: 'optimizer' })).fit?.changes).toEqual({})
    const alone = await planRun(recipe(own), { gpu: 'a100', story: false })
    const one = within(alone.rows[0].memory.heldBytes - 1, {}, { gpu: 'a100' })
    expect(Object.keys((await one).fit?.changes ?? {})).not.toContain('shard')
  })

  test('costs what all machines cost: rent, power and limits of money', async () => {
    const prices = { pricePerHour: 2, watts: 700, pricePerKilowattHour: 0.5, story: false }
    const asked = recipe({ batch: { sequences: 8 }, budget: { steps: 1e9 } })
    const { rows, fit, notes } = await planRun(asked, { ...prices, ...gpu, fit: { money: 1 } })
    const { costs, step } = rows[0]
    const hours = costs!.seconds / 3600
    expect(costs!.kilowattHours! / hours).toBeCloseTo(4 * 0.7)
    expect(costs!.money! / hours).toBeCloseTo(4 * (2 + 0.7 * 0.5))
    expect((fit!.steps! * step!.seconds) / 3600).toBeCloseTo(1 / (4 * 2.35), 5)
    expect(notes.join(' ')).toContain('Money and energy are those of 4 cards')
  })

  test('is in the table, the page and the facts', async () => {
    const plans = await planRun(recipe({ batch: { sequences: 8 } }), { ...gpu, story: false })
    const page = renderPlanPage(plans)
    for (const text of ['sent a step', 'waiting', 'rank 0 of 4', 'NVLink 3', 'calls a step'])
      expect(page).toContain(text)
  })

  test('has no time without a network, and says so', async () => {
    const { rows, notes } = await planRun(recipe({ batch: { sequences: 64 } }), {
      gpu: 'h100',
      count: 16,
      story: false,
    })
    expect(rows[0].costs).toBeUndefined()
    expect(notes.join(' ')).toMatch(/No time is known without the network/)
  })
})

test('options without an effect or that contradict each other are refused', async () => {
  const refused = (options: PlanOptions, more: object = {}) => expect(planRun(recipe(more), options)).rejects
  await refused({ bandwidth: 1e9 }).toThrow(/`bandwidth` needs several processes/)
  await refused({ gpu: 'h100', interconnect: 'pcie-4' }).toThrow(/`interconnect` needs several processes/)
  await refused({ count: 1, rank: 0 }).toThrow(/`rank` needs several processes/)
  await refused({ count: 2, rank: 2 }).toThrow(/less than `count` for `rank`/)
  await refused({ count: 2, latency: 1e-6 }).toThrow(/`latency` needs the speed/)
  await refused({ count: 2, bandwidth: 1e9, interconnect: 'pcie-4' }).toThrow(/remove it, or remove `bandwidth`/)
  await refused({ gpu: 'h100', count: 2, interconnect: 'nvlnk-4' }).toThrow(/Did you mean nvlink-4/)
  await refused({ gpu: 'h100' }, { shard: 'optimizer' }).toThrow(
    /needs several processes: start them by `launch`, set `count`/,
  )
  await refused({ gpu: 'h100', count: 8 }, { batch: { sequences: 4 } }).toThrow(/at least 8 for `batch.sequences`/)
})
