// Processes that are given different recipes or data are refused before the first step, and each says what differs, and where.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeShards } from '../../src/data/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'
import { type RankPlace, recordedSteps, startRanks } from './rank-processes.ts'

let data: SmallData
/** Shards of other text, with the same tokenizer. */
let others: SmallData
let port = 28_500

beforeAll(async () => {
  setThreads(1)
  data = await makeSmallData()
  others = { ...data, shards: join(data.root, 'others') }
  const documents = Array.from({ length: 200 }, (_, i) => `the old stone and the river ${i} walks over `.repeat(6))
  await encodeShards(documents, data.tokenizer, others.shards, { validation: 0.1 }, { workers: 1 })
})
afterAll(() => data.dispose())

const settings = { evaluate: {}, keep: {}, average: undefined, shard: 'parameters' }
/** Writes a recipe. @returns the words that start it */
const recipe = (name: string, more: object = {}, from = data, out = name): string[] => {
  const file = join(data.root, `${name}.json`)
  writeFileSync(file, JSON.stringify(smallRecipe(from, join(data.root, out), { ...settings, ...more })))
  return ['pretrain', '--recipe', file]
}
const together = async (words: readonly string[], placeOf?: (rank: number) => RankPlace) => {
  const env = { TUNESMITH_CONNECT_SECONDS: '120', TUNESMITH_HEARTBEAT_SECONDS: '20' }
  const ranks = startRanks(2, words, { address: '127.0.0.1', port: port++, env }, placeOf)
  const codes = await Promise.all(ranks.map(({ exitCode }) => exitCode))
  return { codes, texts: ranks.map((rank) => rank.stderr()) }
}

describe('processes that do not train the same', () => {
  it.each([
    ['recipe', () => recipe('faster', { learningRate: 0.1 }, data, 'differ')],
    ['data', () => recipe('other-data', {}, others, 'differ')],
  ])('are refused before the first step: %s', async (what, words) => {
    const { codes, texts } = await together(recipe('differ'), (rank) => (rank === 1 ? { words: words() } : {}))
    expect(codes.every((code) => code !== 0)).toBe(true)
    for (const text of texts)
      expect(text).toMatch(new RegExp(`Expected the same ${what} on every process, got [^]* on Rank 0 [^]* on Rank 1 `))
    expect(recordedSteps(join(data.root, 'differ'))).toBe(0)
  })
})
