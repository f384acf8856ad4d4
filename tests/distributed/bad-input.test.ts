// What several processes are given that cannot be trained together or continued: it is refused before the first step or ends all of them,
// names the process and what is wrong, and costs no checkpoint. Ports, addresses and variables are in process-group.test.ts and
// launch-environment.test.ts, rows in sharding.test.ts.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeShards } from '../../src/data/index.ts'
import { pretrain, resume } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { changedProgram } from '../setup/program.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'
import { largestDifference, lossesOf, runTogether } from './parallel-runs.ts'
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
  it.each<[string, () => RankPlace]>([
    ['recipe', () => ({ words: recipe('faster', { learningRate: 0.1 }, data, 'differ') })],
    ['data', () => ({ words: recipe('other-data', {}, others, 'differ') })],
    [
      'code',
      () => {
        const folder = join(data.root, 'program')
        mkdirSync(folder)
        return { started: changedProgram(folder) }
      },
    ],
  ])('are refused before the first step: %s', async (what, other) => {
    const second = other()
    const { codes, texts } = await together(recipe('differ'), (rank) => (rank === 1 ? second : {}))
    expect(codes.every((code) => code !== 0)).toBe(true)
    for (const text of texts)
      expect(text).toMatch(new RegExp(`Expected the same ${what} on every process, got [^]* on Rank 0 [^]* on Rank 1 `))
    expect(recordedSteps(join(data.root, 'differ'))).toBe(0)
  })
})

describe('checkpoints of two processes', () => {
  const more = { budget: { steps: 24 }, checkpoint: { steps: 4 }, keep: { last: 3 } }
  const run = (name: string, shard: string) => {
    const out = join(data.root, name)
    return { ...smallRecipe(data, out, { ...settings, ...more, shard }), out }
  }
  const out = () => join(data.root, 'run')
  const checkpoints = () =>
    readdirSync(join(out(), 'checkpoints'))
      .filter((name) => name.startsWith('step-'))
      .sort()

  beforeAll(async () => {
    expect((await runTogether(2, [run('run', 'parameters')], 'interrupt:0:9')).codes).toEqual([0, 0])
    expect(checkpoints().length).toBeGreaterThan(1)
  })

  it('survive a full disk of one process, and both end by its name', async () => {
    const saved = checkpoints()
    // Only files of tensors are larger, and only those of the second process have the limit.
    const full = (rank: number): RankPlace =>
      rank === 1 ? { before: ['bash', '-c', 'ulimit -f 8; exec "$@"', 'bash'] } : {}
    const { codes, texts } = await together(['resume', out()], full)
    expect(codes, texts.join('\n')).toEqual([1, 1])
    expect(texts[0]).toMatch(/error: Rank 1 \(.*\) failed: /)
    expect(texts[1]).toMatch(/error: File size limit reached while writing .*Earlier checkpoints are intact/)
    expect(checkpoints()).toEqual(saved)
  })

  it('are passed over where the part of a process is missing: it is named, and an older one is continued', async () => {
    const newest = join(out(), 'checkpoints', checkpoints().at(-1) ?? '')
    const part = readdirSync(newest).find((name) => name.startsWith('optimizer-00002'))
    rmSync(join(newest, part ?? ''))
    const lines: string[] = []
    const { reason } = await resume(out(), { onNote: (line) => lines.push(line) })
    expect(reason).toBe('finished')
    expect(lines.join('\n')).toMatch(/optimizer-00002-of-00002/)
    const one = run('one', 'none')
    await pretrain(one)
    expect(await lossesOf({ out: out() })).toHaveLength(24)
    expect(largestDifference(await lossesOf({ out: out() }), await lossesOf(one))).toBeLessThan(1e-6)
  })
})
