// N processes give the losses of one, dropout included: the same recipes in one process, two and three, over Gloo. The
// reference is the one process.
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FinetuneInput, finetune, type PretrainInput, pretrain } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { assignRows } from '../../src/training/data-parallel.ts'
import { makeSmallData, remainsOf, type SmallData, smallRecipe } from '../training/small-run.ts'
import {
  evaluationsOf,
  expectMetrics,
  type GroupOutcome,
  largestDifference,
  lossesOf,
  runTogether,
} from './parallel-runs.ts'

let data: SmallData
let bytes: SmallData
let base: string

const withDropout = { numLayers: 1, hiddenDropout: 0.1, attentionDropout: 0.1 }
const masked = (out: string, more: object = {}) =>
  smallRecipe(data, join(data.root, out), {
    model: { type: 'bert', preset: 'test', config: withDropout },
    // Seven rows: no count of processes divides them.
    batch: { sequences: 7, microTokens: 64 },
    budget: { steps: 50 },
    evaluate: { steps: 25 },
    checkpoint: { steps: 20 },
    ...more,
  })
const causal = (out: string, more: object = {}) =>
  smallRecipe(bytes, join(data.root, out), {
    model: { type: 'llama', preset: 'test', config: { numLayers: 1 } },
    objective: { type: 'causal-lm' },
    batch: { tokens: 200, microTokens: 96 },
    budget: { steps: 50 },
    average: undefined,
    evaluate: {},
    checkpoint: { steps: 50 },
    keep: { last: 1 },
    ...more,
  })
const classes = (out: string, more: object = {}) =>
  ({
    command: 'finetune',
    base,
    task: 'sequence-classification',
    settings: { text: 'review', label: 'stars' },
    data: join(data.root, 'rows.jsonl'),
    out: join(data.root, out),
    maxLength: 32,
    batch: { sequences: 5 },
    budget: { steps: 50 },
    learningRate: 0.005,
    ...more,
  }) as unknown as FinetuneInput & { out: string }

/** Every kind of run, under a name for each number of processes. */
const recipesFor = (name: string) => ({
  masked: masked(`${name}-masked`),
  'masked, padded': masked(`${name}-padded`, {
    batch: { sequences: 7, padded: true },
    evaluate: {},
    average: undefined,
    keep: {},
  }),
  causal: causal(`${name}-causal`),
  full: classes(`${name}-full`, { variant: 'full' }),
  lora: classes(`${name}-lora`, { variant: 'lora', adapter: { rank: 4, dropout: 0.1 } }),
})
const kinds = ['masked', 'masked, padded', 'causal', 'full', 'lora'] as const
const counts = [2, 3] as const
const outcomes = new Map<number, GroupOutcome>()

beforeAll(async () => {
  setThreads(1)
  data = await makeSmallData()
  bytes = await makeSmallData('bpe')
  base = join(data.root, 'base')
  await pretrain(masked('base', { budget: { steps: 5 }, evaluate: {}, keep: {} }))
  const words = ['the house', 'a river walks', 'old bird sleeps over the green stone', 'rain and light']
  const rows = Array.from({ length: 160 }, (_, i) => ({
    review: `${words[i % 4]} ${i % 3 === 0 ? 'green' : 'stone'} number ${i}`,
    stars: i % 3 === 0 ? 'plant' : 'rock',
  }))
  writeFileSync(join(data.root, 'rows.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'))
  const one = recipesFor('one')
  for (const kind of kinds)
    await (kind === 'full' || kind === 'lora'
      ? finetune(one[kind] as FinetuneInput)
      : pretrain(one[kind] as PretrainInput))
  for (const count of counts)
    outcomes.set(count, await runTogether(count, Object.values(recipesFor(`of${count}`)) as { out: string }[]))
})
afterAll(() => {
  data.dispose()
  bytes.dispose()
})

describe.each(counts)('%i processes', (count) => {
  it('end without errors', () => {
    const { codes, lines } = outcomes.get(count) as GroupOutcome
    expect(lines.filter((line) => line.includes('error'))).toEqual([])
    expect(codes).toEqual(Array(count).fill(0))
  })

  it.each(kinds)('give the losses of one: %s', async (kind) => {
    const own = await lossesOf(recipesFor(`of${count}`)[kind] as { out: string })
    const one = await lossesOf(recipesFor('one')[kind] as { out: string })
    expect(one).toHaveLength(50)
    expect(largestDifference(own, one)).toBeLessThan(1e-6)
  })

  it.each(['masked', 'full', 'lora'] as const)('give the metrics of one: %s', async (kind) => {
    const [own, one] = [`of${count}`, 'one'].map((name) => recipesFor(name)[kind] as { out: string })
    const evaluations = await evaluationsOf(one)
    expect(evaluations.length).toBeGreaterThan(0)
    expectMetrics(await evaluationsOf(own), evaluations)
  })

  it('write one folder', () => {
    const [own, one] = [`of${count}`, 'one'].map((name) => recipesFor(name).masked as { out: string })
    expect(readdirSync(own.out).sort()).toEqual(readdirSync(one.out).sort())
    expect(existsSync(join(own.out, 'model', 'model.safetensors'))).toBe(true)
    expect(Object.keys(remainsOf(own.out))).toEqual(Object.keys(remainsOf(one.out)))
  })
})

describe('assignRows', () => {
  it('gives each row to one process, and balances tokens', () => {
    const tokens = [5, 100, 7, 60, 41, 3, 60]
    const shares = assignRows(tokens, 3)
    expect(shares.flat().sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6])
    const sums = shares.map((rows) => rows.reduce((sum, row) => sum + tokens[row], 0))
    // The best that there is: 276 tokens, one row of 100.
    expect(Math.max(...sums)).toBeLessThanOrEqual(104)
    for (const rows of shares) expect(rows).toEqual([...rows].sort((a, b) => a - b))
  })

  it('leaves processes without rows where there are too few', () => {
    expect(assignRows([4, 4], 3)).toEqual([[0], [1], []])
  })
})
