// Rollouts replayed: the same settings give the same numbers, other ones what they say, and the answers become training data.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModel, saveModel } from '../../src/checkpoint/index.ts'
import { withHead } from '../../src/models/index.ts'
import { align, browseRollouts, replayRollouts, writeRollouts } from '../../src/runs/index.ts'
import { preferenceSchema, readPreferences } from '../../src/tasks/index.ts'
import { Generator } from '../../src/tensor/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallAlignment, type SmallAlignment } from './small-alignment.ts'

let small: SmallAlignment

beforeAll(async () => {
  small = await makeSmallAlignment()
  const data = small.rows(
    'prompts.jsonl',
    Array.from({ length: 20 }, (_, i) => ({ prompt: `hi ${i}:`, answer: 'ho' })),
  )
  await align({
    objective: 'rloo',
    base: small.base,
    data,
    validationShare: 0.3,
    rewards: ['repetition', 'finished:weight=2'],
    settings: { beta: 0.1 },
    rollout: { prompts: 4, answers: 6, maxNewTokens: 20 },
    out: small.at('run'),
    budget: { steps: 3 },
    learningRate: 0.01,
    answers: { validation: 2, samples: 0 },
    untrainedBaseline: false,
  } as unknown as Parameters<typeof align>[0])
})
afterAll(() => small.dispose())

const close = (a: number | null, b: number | null, digits: number) =>
  a === null || b === null ? expect(a).toBe(b) : expect(a).toBeCloseTo(b, digits)

describe('a replay', () => {
  it('with the settings of the run gives its rewards and advantages', async () => {
    const rows = await browseRollouts(small.at('run'))
    expect(rows).toHaveLength(3 * 4 * 6)
    const replayed = await replayRollouts(small.at('run'), rows, { reward: ['repetition', 'finished:weight=2'] })
    for (const [i, { reward, rewards, advantage, before }] of replayed.entries()) {
      expect(rewards).toEqual(rows[i].rewards)
      close(reward, rows[i].reward, 10)
      close(advantage, rows[i].advantage, 5)
      expect(before).toEqual({ reward: rows[i].reward, rewards: rows[i].rewards, advantage, kl: rows[i].kl })
    }
    expect(new Set(rows.map(({ advantage }) => advantage)).size).toBeGreaterThan(10)
  })

  it('with other rewards and another estimator gives theirs, and the rows of the run stay', async () => {
    const rows = await browseRollouts(small.at('run'), { rollout: 2 })
    const kept = structuredClone(rows)
    const length = ['length:cost=1'] as const
    const replayed = await replayRollouts(small.at('run'), rows, { reward: [...length], objective: 'dr-grpo' })
    expect(rows).toEqual(kept)
    for (const { group, completionIds, reward, advantage } of replayed) {
      expect(reward).toBe(-completionIds.length)
      const peers = replayed.filter((row) => row.group === group)
      const mean = peers.reduce((sum, row) => sum + (row.reward ?? 0), 0) / peers.length
      expect(advantage).toBeCloseTo((reward ?? 0) - mean, 4)
    }
    const scaled = await replayRollouts(small.at('run'), rows, { reward: [...length], objective: 'grpo' })
    const divided = await replayRollouts(small.at('run'), rows, {
      reward: [...length],
      objective: 'grpo',
      advantages: { scale: 'none' },
    })
    expect(divided.map(({ advantage }) => advantage)).toEqual(replayed.map(({ advantage }) => advantage))
    expect(scaled.map(({ advantage }) => advantage)).not.toEqual(divided.map(({ advantage }) => advantage))
    const shaped = await replayRollouts(small.at('run'), rows, {
      objective: 'dr-grpo',
      shaping: { missingEndPenalty: 5 },
    })
    const ended = shaped.filter(({ finishReason }) => finishReason === 'eos')
    expect(Math.min(...ended.map(({ advantage }) => advantage ?? 0))).toBeGreaterThan(0)
  })

  it('weighs the kept rewards as the run did', async () => {
    const rows = await browseRollouts(small.at('run'))
    expect(rows[0].rewardWeights).toEqual({ repetition: 1, finished: 2 })
    // Each reward is divided by its own deviation, and weighed afterwards.
    const byReward = { objective: 'grpo', advantages: { type: 'gdpo' } }
    const advantagesOf = async (more: object) => {
      const replayed = await replayRollouts(small.at('run'), rows, { ...byReward, ...more })
      return replayed.map(({ advantage }) => Number(advantage?.toFixed(6)))
    }
    const kept = await advantagesOf({})
    expect(kept).toEqual(await advantagesOf({ reward: ['repetition', 'finished:weight=2'] }))
    expect(kept).not.toEqual(await advantagesOf({ reward: ['repetition', 'finished'] }))
  })

  it('with another model gives its log-probabilities: those of the base are those of the reference', async () => {
    const rows = await browseRollouts(small.at('run'), { from: 3 })
    const [ofBase, ofPolicy] = await Promise.all(
      [small.base, small.at('run')].map((model) => replayRollouts(small.at('run'), rows, { model })),
    )
    for (const [i, { logProbs, referenceLogProbs, kl, reward }] of ofBase.entries()) {
      for (const [t, value] of logProbs.entries()) expect(value).toBeCloseTo(referenceLogProbs[t], 4)
      expect(kl).toBeCloseTo(0, 3)
      expect(reward).toBe(rows[i].reward)
    }
    const mean = (list: readonly { kl: number | null }[]) => list.reduce((sum, { kl }) => sum + (kl ?? 0), 0)
    expect(Math.abs(mean(ofPolicy))).toBeGreaterThan(0.01)
  })

  it('becomes training data, also by the command', async () => {
    const file = small.at('pairs.jsonl')
    const shown = await runHere([
      ...['rollouts', small.at('run'), '--reward', 'length:cost=1', '--objective', 'dr-grpo', '--limit', '1'],
      ...['--export', file, '--form', 'pairs', '--json'],
    ])
    expect(shown.stderr).not.toMatch(/error/)
    expect(JSON.parse(shown.stdout)).toMatchObject({
      count: 72,
      replayed: { meanRewardBefore: expect.any(Number), turned: expect.any(Number) },
      written: { path: file },
    })
    const pairs = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { chosen: string; rejected: string; margin: number })
    expect(pairs.length).toBeGreaterThan(0)
    // By the replayed reward the shorter answer is the better one.
    for (const { margin } of pairs) expect(Number.isInteger(margin) && margin > 0).toBe(true)
    const read = await readPreferences(file, preferenceSchema.parse({ onFault: 'skip', maxSkipped: 1 }))
    expect(read.records.length).toBeGreaterThan(0)
    const rows = await replayRollouts(small.at('run'), await browseRollouts(small.at('run')), { reward: ['finished'] })
    expect(await writeRollouts(small.at('best.jsonl'), rows, 'sft')).toBe(12)
    const text = await runHere(['rollouts', small.at('run'), '--reward', 'finished', '--limit', '2'])
    expect(text.stdout).toMatch(/replayed: mean reward .* → /)
  })

  it('says what it cannot compute', async () => {
    const rows = await browseRollouts(small.at('run'), { rollout: 1 })
    const fault = (replay: object) => replayRollouts(small.at('run'), rows, replay)
    await expect(fault({ objective: 'ppo' })).rejects.toThrow(/values of a critic, which this run did not keep/)
    await expect(fault({ critic: small.base })).rejects.toThrow(/no `critic` with the objective rloo/)
    await expect(fault({ objective: 'dpo' })).rejects.toThrow(/Expected one of ppo, grpo/)
    await expect(fault({ reward: ['lenght'] })).rejects.toThrow(/length/)
    await expect(fault({ advantages: { scale: 'all' } })).rejects.toThrow(/scale/)
    await expect(replayRollouts(small.base, rows, { reward: ['finished'] })).rejects.toThrow(/folder of a run/)
    const renamed = rows.map((row) => ({ ...row, id: 'gone' }))
    await expect(replayRollouts(small.at('run'), renamed, { reward: ['finished'] })).rejects.toThrow(/record gone/)
  })
})

describe('a replay of PPO', () => {
  const learning = async (name: string, more: object) => {
    await align({
      objective: 'ppo',
      base: small.base,
      data: small.at('prompts.jsonl'),
      validationShare: 0.3,
      rewards: ['repetition', 'finished'],
      rollout: { prompts: 4, answers: 2, maxNewTokens: 20, epochs: 2 },
      out: small.at(name),
      budget: { steps: 8 },
      learningRate: 0.01,
      answers: { validation: 2, samples: 0 },
      untrainedBaseline: false,
      ...more,
    } as unknown as Parameters<typeof align>[0])
    return browseRollouts(small.at(name))
  }

  it('has the values and the coefficient of each rollout, so that it gives the advantages of the run', async () => {
    const settings = { beta: 0.2, adaptiveKl: { target: 0.01, horizon: 20 } }
    const rows = await learning('ppo', { settings })
    expect(rows).toHaveLength(4 * 4 * 2)
    // A new critic begins with values of 0, and then learns; the last value is that of the whole text.
    for (const { completionIds, values } of rows) expect(values).toHaveLength(completionIds.length + 1)
    expect(rows.filter(({ rollout }) => rollout === 1).flatMap(({ values }) => values.filter(Boolean))).toEqual([])
    expect(rows.filter(({ rollout }) => rollout === 4).flatMap(({ values }) => values.filter(Boolean))).not.toEqual([])
    const used = new Set(rows.map(({ klCoefficient }) => klCoefficient))
    expect(used.size).toBe(4)
    expect(used).toContain(0.2)
    const replayed = await replayRollouts(small.at('ppo'), rows, { objective: 'ppo' })
    for (const [i, { advantage }] of replayed.entries()) close(advantage, rows[i].advantage, 5)
    const last = rows.filter(({ rollout }) => rollout === 4)
    const same = await replayRollouts(small.at('ppo'), last, { advantages: {} })
    expect(same.map(({ advantage }) => advantage)).toEqual(replayed.slice(-8).map(({ advantage }) => advantage))
    const other = await replayRollouts(small.at('ppo'), last, { beta: 0.2 })
    expect(other.map(({ advantage }) => advantage)).not.toEqual(same.map(({ advantage }) => advantage))
  })

  it('with λ and γ of 1 has the reward less the value before each token', async () => {
    const rows = await browseRollouts(small.at('ppo'), { rollout: 4 })
    const advantages = { lambda: 1, gamma: 1, whiten: false }
    const replayed = await replayRollouts(small.at('ppo'), rows, { advantages, beta: 0, reward: ['length:cost=1'] })
    for (const { advantage, completionIds, values } of replayed) {
      const expected = values.slice(0, -1).reduce((sum, value) => sum - completionIds.length - value, 0)
      expect(advantage).toBeCloseTo(expected / completionIds.length, 3)
    }
  })

  it('computes values with a critic, also for answers of a run without one', async () => {
    const judge = withHead(await loadModel(small.base), 'reward')
    judge.head.initialize({ std: 0.3, generator: new Generator(3) })
    await saveModel(judge, small.at('judge'), { tokenizer: small.at('tokenizer') })
    const rows = await learning('ppo-judge', { settings: { criticFrom: small.at('judge') } })
    // In the first rollout the critic of the run is the reward model.
    const first = rows.filter(({ rollout }) => rollout === 1)
    const blank = first.map((row) => ({ ...row, values: [] }))
    await expect(replayRollouts(small.at('ppo-judge'), blank, { objective: 'ppo' })).rejects.toThrow(/set `critic`/)
    const computed = await replayRollouts(small.at('ppo-judge'), blank, { critic: small.at('judge') })
    for (const [i, { values, advantage }] of computed.entries()) {
      expect(values).toHaveLength(first[i].values.length)
      for (const [t, value] of values.entries()) expect(value).toBeCloseTo(first[i].values[t], 5)
      close(advantage, first[i].advantage, 4)
    }
    const finished = join(small.at('ppo-judge'), 'model', 'critic')
    const later = await replayRollouts(small.at('ppo-judge'), first, { critic: finished })
    expect(later.map(({ values }) => values)).not.toEqual(first.map(({ values }) => values))
    const others = await browseRollouts(small.at('run'), { rollout: 1 })
    const shown = await replayRollouts(small.at('run'), others, { objective: 'ppo', critic: small.at('judge') })
    expect(new Set(shown.map(({ advantage }) => advantage)).size).toBeGreaterThan(10)
    for (const [i, { before }] of shown.entries()) expect(before.advantage).toBe(others[i].advantage)
  })
})
