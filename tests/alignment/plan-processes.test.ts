// Plans of one process of several, of runs that the plan of pretraining does not stand for: preferences, rollouts, and several tasks.
import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PlannedRow, planRun } from '../../src/runs/index.ts'
import { makeSmallAlignment, pairRows, type SmallAlignment } from './small-alignment.ts'

let files: SmallAlignment
beforeAll(async () => {
  files = await makeSmallAlignment()
  files.rows('pairs.jsonl', pairRows(48))
  files.rows(
    'prompts.jsonl',
    (pairRows(24) as { prompt: string }[]).map(({ prompt }) => ({ prompt })),
  )
  for (const [name, label] of [
    ['tone', ['good', 'bad']],
    ['kind', ['a', 'b', 'c']],
  ] as const) {
    const rows = Array.from({ length: 40 }, (_, i) => ({
      text: `${'hi '.repeat(1 + (i % 5))}${i}`,
      label: label[i % label.length],
    }))
    writeFileSync(files.at(`${name}.jsonl`), rows.map((row) => JSON.stringify(row)).join('\n'))
  }
})
afterAll(() => files.dispose())

const common = { budget: { steps: 4 }, learningRate: 0.01 }
const task = (name: string) => ({ type: 'sequence-classification', data: files.at(`${name}.jsonl`) })
const recipes = {
  DPO: () => ({
    ...{ command: 'align', objective: 'dpo', base: files.base, data: files.at('pairs.jsonl'), out: files.at('dpo') },
    ...{ batch: { sequences: 8 }, answers: { samples: 0 }, ...common },
  }),
  GRPO: () => ({
    ...{
      command: 'align',
      objective: 'grpo',
      base: files.base,
      data: files.at('prompts.jsonl'),
      out: files.at('grpo'),
    },
    ...{ rewards: [{ type: 'regular-expression', pattern: 'h' }], answers: { validation: 4, samples: 0 } },
    ...{ rollout: { prompts: 4, answers: 4, maxNewTokens: 8 }, ...common },
  }),
  'several tasks': () => ({
    ...{ command: 'multitask', base: files.base, tasks: { tone: task('tone'), kind: task('kind') } },
    ...{ out: files.at('tasks'), maxLength: 24, batch: { sequences: 8 }, ...common },
  }),
}
type Kind = keyof typeof recipes

const planOf = async (kind: Kind, more: object, options: object): Promise<PlannedRow> =>
  (await planRun({ ...recipes[kind](), ...more }, { gpu: 'a100', story: false, ...options })).rows[0]
const stateOf = ({ memory }: PlannedRow): number =>
  memory.holders.find(({ label }) => label === 'optimizer state')?.bytes ?? Number.NaN

describe.each(Object.keys(recipes) as Kind[])('a plan of one of two processes: %s', (kind) => {
  it('computes half of a step, and sums the gradients of what it trains', async () => {
    const [two, one] = [await planOf(kind, {}, { count: 2 }), await planOf(kind, {}, {})]
    expect(two.processes).toMatchObject({ count: 2, rank: 0 })
    expect(two.trainedParameters).toBe(one.trainedParameters)
    expect(two.processes!.flopsPerStep / one.flopsPerStep).toBeGreaterThan(0.4)
    expect(two.processes!.flopsPerStep / one.flopsPerStep).toBeLessThan(0.65)
    const sum = two.processes!.collectives.find(({ kind: own }) => own === 'sum')
    // Gradients once in a step; a ring of two sends as many bytes.
    expect(sum!.bytes).toBeGreaterThanOrEqual(4 * two.trainedParameters)
    expect(sum!.bytes).toBeLessThan(4.1 * two.trainedParameters)
    expect(sum!.sentBytes).toBeCloseTo(sum!.bytes)
    expect(two.step!.communicating).toBeGreaterThan(0)
  })

  it('has a part of the state of the optimizer', async () => {
    const [none, optimizer] = [
      await planOf(kind, {}, { count: 2 }),
      await planOf(kind, { shard: 'optimizer' }, { count: 2 }),
    ]
    expect(stateOf(optimizer) / stateOf(none)).toBeCloseTo(0.5, 1)
  })

  it('has a part of the weights, and receives the others', async () => {
    const [gradients, parameters] = [
      await planOf(kind, { shard: 'gradients' }, { count: 2 }),
      await planOf(kind, { shard: 'parameters' }, { count: 2 }),
    ]
    const gathered = ({ processes }: PlannedRow) =>
      processes?.collectives.find(({ kind: own }) => own === 'gather')?.bytes ?? 0
    expect(gathered(parameters)).toBeGreaterThan(gathered(gradients))
    // A copy of the model that is the reference is divided too: nothing else is as large as all weights.
    const unnamed = parameters.memory.holders.filter(({ label }) => label === '')
    for (const { bytes } of unnamed) expect(bytes).toBeLessThan(2 * parameters.trainedParameters)
  })
})

it('refuses to divide a reference that follows the policy', async () => {
  const settings = { referenceSyncSteps: 2 }
  await expect(planOf('DPO', { shard: 'parameters', settings }, { count: 2 })).rejects.toThrow(
    /A reference that follows the policy needs all weights of both on each process/,
  )
})

it('is of rank 0 where the run writes its own answers', async () => {
  await expect(planOf('GRPO', {}, { count: 2, rank: 1 })).rejects.toThrow(/Expected 0 for `rank`/)
})
