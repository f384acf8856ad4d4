// Alignment in two processes gives the losses of one: preferences, whose reference is computed for the whole batch, and rollouts, of which
// each process samples and scores some groups. The reference is the one process.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AlignInput, align } from '../../src/runs/index.ts'
import { readEvents } from '../../src/tracking/index.ts'
import { makeSmallAlignment, pairRows, type SmallAlignment } from '../alignment/small-alignment.ts'
import {
  evaluationsOf,
  expectMetrics,
  type GroupOutcome,
  largestDifference,
  lossesOf,
  runTogether,
} from './parallel-runs.ts'

let small: SmallAlignment
let outcome: GroupOutcome
type Recipe = AlignInput & { out: string }

const dpo = (name: string) =>
  ({
    command: 'align',
    objective: 'dpo',
    base: small.base,
    data: small.at('pairs.jsonl'),
    validation: small.at('validation.jsonl'),
    out: small.at(`${name}-dpo`),
    batch: { sequences: 7 },
    budget: { steps: 12 },
    learningRate: 0.003,
    answers: { samples: 0 },
  }) as unknown as Recipe
const grpo = (name: string) =>
  ({
    command: 'align',
    objective: 'grpo',
    base: small.base,
    data: small.at('prompts.jsonl'),
    validationShare: 0.3,
    rewards: [{ type: 'regular-expression', pattern: 'h' }],
    out: small.at(`${name}-grpo`),
    rollout: { prompts: 5, answers: 4, maxNewTokens: 6, exact: true },
    budget: { steps: 8 },
    learningRate: 0.01,
    schedule: { type: 'constant' },
    answers: { validation: 6, samples: 0 },
  }) as unknown as Recipe

beforeAll(async () => {
  small = await makeSmallAlignment()
  small.rows('pairs.jsonl', pairRows(48))
  small.rows('validation.jsonl', pairRows(60).slice(48))
  small.rows(
    'prompts.jsonl',
    Array.from({ length: 40 }, (_, i) => ({ prompt: `${'hi '.repeat(1 + (i % 3))}${i}:`, answer: 'ho' })),
  )
  for (const recipe of [dpo, grpo]) await align(recipe('one'))
  outcome = await runTogether(2, [dpo('two'), grpo('two')])
})
afterAll(() => small.dispose())

it('ends without errors', () => {
  expect(outcome.lines.filter((line) => line.includes('error'))).toEqual([])
  expect(outcome.codes).toEqual([0, 0])
})

it('gives the losses of one process with DPO', async () => {
  const [two, one] = [await lossesOf(dpo('two')), await lossesOf(dpo('one'))]
  expect(one).toHaveLength(12)
  expect(largestDifference(two, one)).toBeLessThan(1e-6)
  const evaluations = await evaluationsOf(dpo('one'))
  expect(evaluations.length).toBeGreaterThan(0)
  // Rewards are multiples of log-probabilities of whole completions.
  expectMetrics(await evaluationsOf(dpo('two')), evaluations, 1e-5)
})

it('samples the answers of one process with GRPO, and learns the same from them', async () => {
  const measured = async ({ out }: Recipe) => {
    const found: Record<string, number>[] = []
    for await (const event of readEvents(join(out, 'events.jsonl')))
      if (event.type === 'rollout') found.push(event.metrics)
    return found
  }
  const [two, one] = [await measured(grpo('two')), await measured(grpo('one'))]
  expect(one.length).toBeGreaterThan(3)
  for (const [i, metrics] of one.entries()) {
    expect(two[i].reward).toBeCloseTo(metrics.reward, 6)
    expect(two[i].completionTokens).toBeCloseTo(metrics.completionTokens, 6)
  }
  expect(largestDifference(await lossesOf(grpo('two')), await lossesOf(grpo('one')))).toBeLessThan(1e-6)
  const evaluations = await evaluationsOf(grpo('one'))
  expect(evaluations.length).toBeGreaterThan(0)
  expectMetrics(await evaluationsOf(grpo('two')), evaluations, 1e-5)
})
