// Rollouts with a sampler and a judge that are plain functions, so that what each step trains on is known: order and epochs, dynamic
// sampling, the files of a run, checkpoints in the middle of a rollout, and alarms.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  Alarms,
  type AnswerSampler,
  alarmSchema,
  measureRollout,
  type ResolvedRollout,
  type RolloutAnswer,
  type RolloutGroup,
  type RolloutMethod,
  type RolloutPrompt,
  RolloutSource,
  readRollout,
  rolloutFiles,
  rolloutSchema,
} from '../../src/alignment/index.ts'
import { takeBatch } from '../../src/training/index.ts'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'tunesmith-rollouts-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const prompts = Array.from(
  { length: 5 },
  (_, i): RolloutPrompt => ({
    record: { id: `p${i}`, file: 'f', line: i, prompt: `say ${i}`, reference: `${i}`, fields: {} },
    ids: [1, 10 + i],
    endTokens: [2],
  }),
)

/** Answers whose tokens tell prompt, member and seed; every second one ends by itself. */
const sample =
  (answers: number): AnswerSampler =>
  async (requests) =>
    requests.map(({ prompt, seed }) =>
      Array.from({ length: answers }, (_, member) => ({
        ids: Uint32Array.of(prompt.ids[1], member, seed % 1000, 2),
        mask: Uint8Array.of(1, 1, 0, 1),
        logProbs: Float32Array.of(-1, -0.5, -3, -0.1 * (seed % 7)),
        finishReason: member % 2 === 0 ? ('eos' as const) : ('length' as const),
      })),
    )

/** Rewards by member; prompt 3 gets the same for all of its answers. */
const judge = {
  names: ['member', 'flat'],
  weights: [1, 1],
  score: async (asked: readonly { answer: Pick<RolloutAnswer, 'ids'> }[]) =>
    asked.map(({ answer: { ids } }) => {
      const member = ids[0] === 13 ? 1 : ids[1]
      return { rewards: [member, null], reward: member }
    }),
}

interface Example {
  text: string
  scale: number
}

/** Counts its rollouts, and puts the count into the examples. */
const countingMethod = (): RolloutMethod<Example> => {
  let count = 1
  return {
    async complete(all) {
      for (const { answer } of all) answer.reference = answer.logProbs.map((value) => value - 0.25)
    },
    examples: (groups) => {
      const answers = groups.flatMap(({ group }) => group)
      return {
        examples: answers.map(({ ids }) => ({ text: ids.join(), scale: count })),
        trained: answers.map((answer) => ({ answer, advantages: [answer.reward ?? 0] })),
        metrics: { scale: count },
      }
    },
    advance: () => {
      count++
    },
    carried: {
      save: () => count,
      load: (state) => {
        count = state as number
      },
    },
  }
}

const makeSource = (settings: object, folder?: string) =>
  new RolloutSource({
    prompts,
    settings: rolloutSchema.parse({ prompts: 2, answers: 3, epochs: 1, rounds: 1, ...settings }) as ResolvedRollout,
    seed: 4,
    sample: sample(3),
    judge,
    method: countingMethod(),
    alarms: new Alarms(alarmSchema.parse({})),
    decode: (ids) => Array.from(ids).join(' '),
    files: folder === undefined ? undefined : { folder, name: 'rollouts' },
  })

type Source = ReturnType<typeof makeSource>
const context = { step: 0, microTokens: 100, padded: false }

/** Takes batches as the loop does. @returns the batches and the events */
const steps = async (source: Source, count: number, from = 0, sequences = 4) => {
  const batches: string[][] = []
  const events: Record<string, unknown>[] = []
  let position = from
  for (let i = 0; i < count; i++) {
    for await (const event of source.fill(position, { ...context, step: i })) events.push({ ...event })
    const { examples, next } = takeBatch(source, () => 1, position, { sequences })
    batches.push(examples.map(({ text, scale }) => `${text}/${scale}`))
    position = next
  }
  return { batches, events, position }
}

describe('a rollout source', () => {
  it('trains for several epochs on each rollout, every answer once an epoch, and ends batches with the epoch', async () => {
    const { batches, events } = await steps(makeSource({ epochs: 2 }), 8)
    expect(batches.map(({ length }) => length)).toEqual([4, 2, 4, 2, 4, 2, 4, 2])
    const epochs = [0, 2, 4, 6].map((i) => [...batches[i], ...batches[i + 1]])
    expect([...epochs[0]].sort()).toEqual([...epochs[1]].sort())
    expect(epochs[0]).not.toEqual(epochs[1])
    expect(new Set(epochs[0]).size).toBe(6)
    expect(epochs[0].every((text) => text.endsWith('/1')) && epochs[2].every((text) => text.endsWith('/2'))).toBe(true)
    expect(events.map(({ type }) => type)).toEqual(['rollout', 'rollout'])
  })

  it('gives the same rollouts again, and others for another seed', async () => {
    const [first, again] = await Promise.all([steps(makeSource({}), 6), steps(makeSource({}), 6)])
    expect(again.batches).toEqual(first.batches)
  })

  it('leaves groups without variance out where it samples in rounds, within bounds', async () => {
    const { batches, events } = await steps(makeSource({ prompts: 5, rounds: 3 }), 1, 0, 100)
    // Prompt 3 has equal rewards; later rounds take further prompts in its place.
    expect(batches[0]).toHaveLength(15)
    expect(batches[0].filter((text) => text.startsWith('13,'))).toHaveLength(0)
    expect(events).toHaveLength(1)
    const short = makeSource({ prompts: 1, rounds: 2 })
    const all = await steps(short, 12, 0, 100)
    expect(all.batches.every(({ length }) => length === 3)).toBe(true)
  })

  it('reports what it measured, and keeps every answer in a file', async () => {
    const folder = join(root, 'kept')
    const { events } = await steps(makeSource({ prompts: 5, rounds: 2 }, folder), 1, 0, 100)
    expect(events[0]).toMatchObject({
      type: 'rollout',
      path: 'rollouts/rollout-00000001.parquet',
      // Rewards 0, 1, 2 by member, or 1, 1, 1; two of three answers end by themselves. The second round meets prompt 3 again.
      metrics: { reward: 1, finished: expect.closeTo(2 / 3), completionTokens: 4, equalGroups: expect.closeTo(2 / 6) },
    })
    expect(events[1]).toMatchObject({ kind: 'few-groups', message: expect.stringMatching(/Only 4 of 5 groups/) })
    const [file] = await rolloutFiles(folder)
    const rows = await readRollout(file)
    expect(rows).toHaveLength(18)
    expect(rows.filter(({ trained }) => !trained).map(({ id }) => id)).toEqual(Array(6).fill('p3'))
    const [row] = rows.filter(({ trained }) => trained)
    expect(row).toMatchObject({ rollout: 1, step: 0, member: 0, rewards: { member: 0, flat: null }, reward: 0 })
    expect(row.reference).toBe(row.id.slice(1))
    expect(row.promptIds).toEqual([1, 10 + Number(row.reference)])
    const sums = { logProb: 0, tokens: 0 }
    for (const { mask, referenceLogProbs } of rows)
      for (const [t, value] of referenceLogProbs.entries())
        if (mask[t] === 1) {
          sums.logProb += value
          sums.tokens++
        }
    const perplexity = Math.exp(-sums.logProb / sums.tokens)
    expect(events[0]).toMatchObject({ metrics: { referencePerplexity: expect.closeTo(perplexity, 5) } })
    // Three tokens of the policy, each 0.25 above the reference.
    expect(row.kl).toBeCloseTo(0.75, 5)
    expect(row.logProbs).toHaveLength(4)
    expect(row.advantage).toBe(0)
  })

  it('goes on from a checkpoint in the middle of a rollout as if it had not stopped', async () => {
    const whole = await steps(makeSource({ epochs: 2 }), 7)
    for (const stop of [1, 3, 4, 5]) {
      const first = makeSource({ epochs: 2 })
      const before = await steps(first, stop)
      const folder = join(root, `stop-${stop}`)
      await first.save(folder)
      const second = makeSource({ epochs: 2 })
      await second.load(folder)
      const after = await steps(second, 7 - stop, before.position)
      expect([...before.batches, ...after.batches]).toEqual(whole.batches)
      await second.save(`${folder}-again`)
    }
  })

  it('changes nothing when it is stopped while it samples', async () => {
    const source = makeSource({})
    const { signal } = { signal: AbortSignal.abort() }
    const events = []
    for await (const event of source.fill(0, { ...context, signal })) events.push(event)
    expect(events).toEqual([])
    expect((await steps(source, 2)).batches).toEqual((await steps(makeSource({}), 2)).batches)
  })
})

const answer = (more: Partial<RolloutAnswer>): RolloutAnswer => ({
  prompt: 0,
  group: 0,
  member: 0,
  ids: Uint32Array.of(5, 6),
  mask: Uint8Array.of(1, 1),
  finishReason: 'eos',
  logProbs: Float32Array.of(-1, -1),
  rewards: [1],
  reward: 1,
  ...more,
})

describe('measures', () => {
  it('are means over answers and tokens, of what there is', () => {
    const group: RolloutGroup = [
      answer({ reference: Float32Array.of(-2, -1.5), entropy: Float32Array.of(1, 2) }),
      // Without a measured entropy, minus the log-probability stands for it.
      answer({ reward: null, rewards: [null], mask: Uint8Array.of(1, 0), reference: Float32Array.of(-1, 9) }),
    ]
    expect(measureRollout([group], ['only'])).toEqual({
      reward: 1,
      rewardDeviation: 0,
      unscored: 0.5,
      completionTokens: 2,
      finished: 1,
      equalGroups: 1,
      kl: 0.75,
      klPerToken: 0.5,
      referencePerplexity: expect.closeTo(Math.exp(1.5)),
      entropy: expect.closeTo(4 / 3),
    })
  })
})

describe('alarms', () => {
  const alarms = (more: object = {}) => new Alarms(alarmSchema.parse(more))
  const calm = { entropy: 2, completionTokens: 10, kl: 1 }

  it('are raised once until their condition has passed, also after a resume', () => {
    const own = alarms()
    for (let i = 0; i < 3; i++) expect(own.check(calm)).toEqual([])
    const low = { ...calm, entropy: 0.3 }
    expect(own.check(low).map(({ kind }) => kind)).toEqual(['entropy-collapse'])
    expect(own.check(low)).toEqual([])
    const resumed = alarms()
    resumed.load(JSON.parse(JSON.stringify(own.save())))
    expect(resumed.check(low)).toEqual([])
    expect(resumed.check(calm)).toEqual([])
    expect(resumed.check(low)).toHaveLength(1)
    // A measure that goes over its limit and back is one alarm (the limit of the entropy is 0.4).
    for (const entropy of [0.42, 0.39, 0.45, 0.38]) expect(resumed.check({ ...calm, entropy })).toEqual([])
    expect(resumed.check({ ...calm, kl: 51, completionTokens: 31 }).map(({ kind }) => kind)).toEqual([
      'kl-runaway',
      'length-runaway',
    ])
    expect(alarms({ kl: 0 }).check({ kl: 1e9 })).toEqual([])
  })

  it('tell of a reward that rises while the judge falls by more than its error', () => {
    const own = alarms()
    expect(own.checkJudge(0, 0.5, 0.02)).toEqual([])
    expect(own.checkJudge(1, 0.6, 0.02)).toEqual([])
    // Within half a standard error of the difference.
    expect(own.checkJudge(2, 0.59, 0.02)).toEqual([])
    expect(own.checkJudge(3, 0.4, 0.02).map(({ message }) => message)).toEqual([
      expect.stringMatching(/rose from 1 to 3 .* fell from 0.6 to 0.4/),
    ])
    expect(own.checkJudge(4, 0.3, 0.02)).toEqual([])
    // A judge that falls with the reward is no exploit.
    expect(alarms().checkJudge(0, 0.5, 0.02)).toEqual([])
  })
})
