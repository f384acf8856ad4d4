// The chart of reward against KL divergence: runs that learned from rewards, runs that learned from preferences and were judged by the same
// reward, and the best of n answers of the base.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bestOfNKl, readRollout, rolloutFiles } from '../../src/alignment/index.ts'
import { align, compareRuns, renderComparisonPage, verifyResume } from '../../src/runs/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallAlignment, pairRows, type SmallAlignment } from './small-alignment.ts'

let small: SmallAlignment
/** The share of tokens with an even number. */
const even = (samples: readonly { completionIds: ArrayLike<number> }[]) =>
  samples.map(({ completionIds: ids }) => Array.from(ids).filter((id) => id % 2 === 0).length / ids.length)

beforeAll(async () => {
  small = await makeSmallAlignment()
  const shared = { base: small.base, validationShare: 0.3, untrainedBaseline: false, learningRate: 0.01 }
  const learning = {
    ...shared,
    data: small.rows(
      'prompts.jsonl',
      Array.from({ length: 24 }, (_, i) => ({ prompt: `hi ${i}:` })),
    ),
    rollout: { prompts: 6, answers: 6, maxNewTokens: 10 },
    budget: { steps: 2 },
    answers: { validation: 6, samples: 0 },
  }
  const run = (input: object) => align(input as unknown as Parameters<typeof align>[0])
  await run({ ...learning, objective: 'grpo', rewards: [even], out: small.at('grpo') })
  await run({
    ...learning,
    objective: 'rloo',
    rewards: ['repetition'],
    judge: even,
    out: small.at('rloo'),
  })
  const preferring = {
    ...shared,
    data: small.rows('pairs.jsonl', pairRows(40)),
    batch: { sequences: 8 },
    budget: { steps: 3 },
    answers: { validation: 6, samples: 0, maxNewTokens: 10 },
  }
  await run({ ...preferring, objective: 'dpo', variant: 'lora', judge: even, out: small.at('dpo') })
  await run({ ...preferring, objective: 'simpo', judge: even, out: small.at('simpo') })
})
afterAll(() => small.dispose())

const folders = () => ['grpo', 'rloo', 'dpo', 'simpo'].map(small.at)

it('has DPO, SimPO, GRPO and the best of n of the base by one reward, whoever it trained', async () => {
  const compared = await compareRuns(folders())
  const chart = compared.rewards.find(({ reward: name }) => name === 'even')
  const byName = new Map(chart?.points.map((point) => [point.name, point]))
  expect([...byName.keys()].sort()).toEqual(
    ['best of 2 of the base', 'best of 4 of the base', 'dpo', 'grpo', 'rloo', 'simpo', 'the base'].sort(),
  )
  for (const { kl, value, low, high } of byName.values()) {
    expect(Number.isFinite(kl)).toBe(true)
    expect(low).toBeLessThanOrEqual(value)
    expect(high).toBeGreaterThanOrEqual(value)
  }
  // The base's own answers are those of the first rollout, and the best of more of them is better and further away.
  const [file] = await rolloutFiles(join(small.at('grpo'), 'rollouts'))
  const rewards = (await readRollout(file)).map((row) => row.reward ?? 0)
  const place = (name: string) => byName.get(name) ?? { kl: Number.NaN, value: Number.NaN }
  expect(place('the base').value).toBeCloseTo(rewards.reduce((sum, one) => sum + one, 0) / rewards.length, 10)
  expect(place('the base').kl).toBe(0)
  expect(place('best of 4 of the base').kl).toBeCloseTo(bestOfNKl(4), 12)
  expect(place('best of 2 of the base').value).toBeGreaterThan(place('the base').value)
  expect(place('best of 4 of the base').value).toBeGreaterThan(place('best of 2 of the base').value)
  expect(place('dpo').kl).toBeGreaterThan(-0.5)
  // In the order of the divergence.
  const order = chart?.points.map(({ kl }) => kl) ?? []
  expect(order).toEqual([...order].sort((a, b) => a - b))
  const page = await renderComparisonPage(compared)
  expect(page).toContain('even against KL divergence from the base')
  expect(page).toContain('best of 4 of the base')
})

it('is in the command as a table, and needs no model', async () => {
  const { stdout, stderr } = await runHere(['compare', ...folders()])
  expect(stderr).not.toMatch(/error/)
  expect(stdout).toMatch(/answers of +│ method +│ KL divergence/)
  expect(stdout).toMatch(/best of 2 of the base +│ best of n +│ 0\.1931/)
  const shown = await runHere(['compare', small.at('dpo'), small.at('grpo'), '--json'])
  expect(JSON.parse(shown.stdout)).toMatchObject({ rewards: [{ reward: 'even', points: expect.any(Array) }] })
})

it('does not change what a judged run of preferences learns, and resumes to the bit', async () => {
  expect(await verifyResume(small.at('dpo'), { steps: 4 })).toMatchObject({ equal: true, different: [] })
  const wrong = { objective: 'dpo', base: small.base, data: small.at('pairs.jsonl'), out: small.at('wrong') }
  const fault = (judge: unknown) => align({ ...wrong, judge } as unknown as Parameters<typeof align>[0])
  await expect(fault('lenght')).rejects.toThrow(/length/)
  await expect(fault('environment')).rejects.toThrow(/needs `environment`/)
})
