// N processes give the losses of one, dropout included: the same recipes in one process, two and three, over Gloo. The
// reference is the one process.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { setThreads } from '../../src/tensor/index.ts'
import { assignRows } from '../../src/training/data-parallel.ts'
import { remainsOf } from '../training/small-run.ts'
import { makeParallelRecipes, parallelKinds, trainAlone } from './parallel-recipes.ts'
import {
  evaluationsOf,
  expectMetrics,
  type GroupOutcome,
  largestDifference,
  lossesOf,
  runTogether,
} from './parallel-runs.ts'

let recipesFor: Awaited<ReturnType<typeof makeParallelRecipes>>['recipesFor']
let dispose: () => void

const counts = [2, 3] as const
const outcomes = new Map<number, GroupOutcome>()

beforeAll(async () => {
  setThreads(1)
  ;({ recipesFor, dispose } = await makeParallelRecipes())
  await trainAlone(recipesFor('one'))
  for (const count of counts) outcomes.set(count, await runTogether(count, Object.values(recipesFor(`of${count}`))))
})
afterAll(() => dispose())

describe.each(counts)('%i processes', (count) => {
  it('end without errors', () => {
    const { codes, lines } = outcomes.get(count) as GroupOutcome
    expect(lines.filter((line) => line.includes('error'))).toEqual([])
    expect(codes).toEqual(Array(count).fill(0))
  })

  it.each(parallelKinds)('give the losses of one: %s', async (kind) => {
    const own = await lossesOf(recipesFor(`of${count}`)[kind])
    const one = await lossesOf(recipesFor('one')[kind])
    expect(one).toHaveLength(50)
    expect(largestDifference(own, one)).toBeLessThan(1e-6)
  })

  it.each(['masked', 'full', 'lora'] as const)('give the metrics of one: %s', async (kind) => {
    const [own, one] = [`of${count}`, 'one'].map((name) => recipesFor(name)[kind])
    const evaluations = await evaluationsOf(one)
    expect(evaluations.length).toBeGreaterThan(0)
    expectMetrics(await evaluationsOf(own), evaluations)
  })

  it('write one folder', () => {
    const [own, one] = [`of${count}`, 'one'].map((name) => recipesFor(name).masked)
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
