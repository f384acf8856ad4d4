// Alignment in two processes gives the losses of one: preferences, whose reference is computed for the whole batch, and rollouts, of which
// each process samples and scores some groups. The reference is the one process. With TUNESMITH_FULL=1: 50 steps in two and three processes.
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
import { rankMinutes } from './rank-processes.ts'

const isFull = process.env.TUNESMITH_FULL === '1'
const steps = isFull ? { dpo: 50, grpo: 50 } : { dpo: 12, grpo: 8 }
const counts = isFull ? [2, 3] : [2]
/** Time for a group where the machine is busy. */
const minutes = isFull ? 60 : rankMinutes

let small: SmallAlignment
const outcomes = new Map<number, GroupOutcome>()
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
    budget: { steps: steps.dpo },
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
    budget: { steps: steps.grpo },
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
  for (const count of counts)
    outcomes.set(count, await runTogether(count, [dpo(`of${count}`), grpo(`of${count}`)], '', {}, minutes))
}, minutes * 60_000)
afterAll(() => small.dispose())

/** The largest difference of two runs' losses. */
const distance = async (name: keyof typeof steps, recipe: (name: string) => Recipe, count: number): Promise<number> => {
  const [own, one] = [await lossesOf(recipe(`of${count}`)), await lossesOf(recipe('one'))]
  expect(one).toHaveLength(steps[name])
  const difference = largestDifference(own, one)
  if (isFull) console.info(`${name}, ${count} processes: ${difference.toExponential(1)}`)
  return difference
}

it.each(counts)('%i processes end without errors', (count) => {
  const { lines, codes } = outcomes.get(count) as GroupOutcome
  expect(lines.filter((line) => line.includes('error'))).toEqual([])
  expect(codes).toEqual(Array(count).fill(0))
})

it.each(counts)('%i processes give the losses of one with DPO', async (count) => {
  expect(await distance('dpo', dpo, count)).toBeLessThan(1e-6)
  const evaluations = await evaluationsOf(dpo('one'))
  expect(evaluations.length).toBeGreaterThan(0)
  // Rewards are multiples of log-probabilities of whole completions.
  expectMetrics(await evaluationsOf(dpo(`of${count}`)), evaluations, 1e-5)
})

it.each(counts)('%i processes sample the answers of one with GRPO, and learn the same from them', async (count) => {
  const measured = async ({ out }: Recipe) => {
    const found: Record<string, number>[] = []
    for await (const event of readEvents(join(out, 'events.jsonl')))
      if (event.type === 'rollout') found.push(event.metrics)
    return found
  }
  const [own, one] = [await measured(grpo(`of${count}`)), await measured(grpo('one'))]
  expect(one.length).toBeGreaterThan(3)
  for (const [i, metrics] of one.entries()) {
    expect(own[i].reward).toBeCloseTo(metrics.reward, 6)
    expect(own[i].completionTokens).toBeCloseTo(metrics.completionTokens, 6)
  }
  expect(await distance('grpo', grpo, count)).toBeLessThan(1e-6)
  const evaluations = await evaluationsOf(grpo('one'))
  expect(evaluations.length).toBeGreaterThan(0)
  expectMetrics(await evaluationsOf(grpo(`of${count}`)), evaluations, 1e-5)
})
