// Alignment runs with rewards, end to end on a small model: every objective learns a reward that is easy to raise, resumes to the bit in the
// middle of a rollout, and leaves what it sampled.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRollout, rolloutFiles } from '../../src/alignment/index.ts'
import { loadForInference } from '../../src/inference/index.ts'
import {
  align,
  browseRollouts,
  compareRuns,
  renderComparisonPage,
  verifyResume,
  writeRollouts,
} from '../../src/runs/index.ts'
import { preferenceSchema, readPreferences } from '../../src/tasks/index.ts'
import { isBatchInvariant } from '../../src/tensor/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallAlignment, type SmallAlignment } from './small-alignment.ts'

let small: SmallAlignment
let prompts: string

beforeAll(async () => {
  small = await makeSmallAlignment()
  prompts = small.rows(
    'prompts.jsonl',
    Array.from({ length: 40 }, (_, i) => ({ prompt: `${'hi '.repeat(1 + (i % 3))}${i}:`, answer: 'ho' })),
  )
})
afterAll(() => small.dispose())

const letters = { type: 'regular-expression', pattern: 'h' } as const

/** A reward that is easy to raise: the share of tokens with an even number. */
const share = (samples: readonly { completionIds: ArrayLike<number> }[]) =>
  samples.map(({ completionIds }) => {
    const ids = Array.from(completionIds)
    return ids.filter((id) => id % 2 === 0).length / ids.length
  })

const recipe = (objective: string, name: string, more: object = {}) =>
  ({
    objective,
    base: small.base,
    data: prompts,
    validationShare: 0.3,
    rewards: [share],
    out: small.at(name),
    rollout: { prompts: 8, maxNewTokens: 6 },
    budget: { steps: 8 },
    learningRate: 0.03,
    schedule: { type: 'constant' },
    answers: { validation: 12, samples: 2 },
    ...more,
  }) as unknown as Parameters<typeof align>[0]

const run = async (objective: string, name: string, more: object = {}) => {
  const events: TrainingEvent[] = []
  const notes: string[] = []
  const result = await align(recipe(objective, name, more), {
    onEvent: (event) => events.push(event),
    onNote: (note) => notes.push(note),
  })
  const rollouts = events.flatMap((event) => (event.type === 'rollout' ? [event.metrics] : []))
  const steps = events.flatMap((event) => (event.type === 'step' ? [event] : []))
  return { result, rollouts, steps, notes, events }
}

describe('objectives', () => {
  it.each([
    ['grpo', {}],
    [
      'dr-grpo',
      { variant: 'lora', learningRate: 0.1, rollout: { prompts: 16, maxNewTokens: 6 }, budget: { steps: 20 } },
    ],
    ['rloo', {}],
    // One answer to a prompt: a noisier gradient, which takes more steps.
    ['remax', { rollout: { prompts: 24, maxNewTokens: 6 }, budget: { steps: 20 } }],
    ['ppo', { rollout: { prompts: 24, maxNewTokens: 6, epochs: 2 }, budget: { steps: 16 } }],
    ['raft', {}],
    ['online-dpo', { rollout: { prompts: 12, answers: 4, maxNewTokens: 6 } }],
  ])('%s raises the reward', async (objective, more) => {
    const { result, rollouts, steps } = await run(objective, objective, more)
    expect(result.reason).toBe('finished')
    // Single rollouts vary by 0.1.
    const last = rollouts.slice(-3).reduce((sum, { reward }) => sum + reward / 3, 0)
    expect(last, `${rollouts[0].reward} -> ${last}`).toBeGreaterThan(rollouts[0].reward + 0.03)
    // The first answers are those of the base.
    expect(Math.abs(rollouts[0].kl)).toBeLessThan(1e-4)
    expect(rollouts.at(-1)?.kl).toBeGreaterThan(0)
    if (steps[0].metrics?.ratio !== undefined) expect(steps[0].metrics.ratio).toBeCloseTo(1, 5)
    expect(result.metrics).toMatchObject({ reward: expect.any(Number), kl: expect.any(Number) })
  })

  it.each(['loss', 'reward'])('an adaptive coefficient of the KL divergence in the %s moves with it', async (klIn) => {
    const settings = { beta: 0.1, klIn, adaptiveKl: { target: 0.02, horizon: 160 } }
    const { rollouts, steps } = await run('grpo', `adaptive-${klIn}`, { settings, untrainedBaseline: false })
    const places = klIn === 'loss' ? steps.map(({ metrics }) => metrics) : rollouts
    const used = places.map((metrics) => metrics?.klCoefficient ?? Number.NaN)
    // The first answers are those of the base, so that the penalty is lowered by the most, 0.2 * 64 / 160.
    const first = klIn === 'loss' ? used[0] : used[1]
    expect(first).toBeCloseTo(0.1 * (1 - 0.08), 6)
    expect(new Set(used).size).toBe(8)
    expect(used[7]).toBeGreaterThan(used[1])
  })

  it('dapo leaves out truncated answers and groups without variance', async () => {
    const { result, rollouts } = await run('dapo', 'dapo', {
      rollout: { prompts: 8, answers: 8, maxNewTokens: 6 },
      settings: { shaping: { overlong: { maxLength: 6, zone: 3 } } },
      budget: { steps: 3 },
    })
    expect(result.reason).toBe('finished')
    // Most answers of the base do not end within six tokens.
    expect(rollouts[0].excluded).toBeGreaterThan(0.5)
    expect(rollouts[0].finished).toBeCloseTo(1 - rollouts[0].excluded, 1)
    const unmasked = await run('dapo', 'dapo-unmasked', {
      rollout: { prompts: 8, answers: 8, maxNewTokens: 6 },
      settings: { shaping: { maskTruncated: false } },
      budget: { steps: 1 },
    })
    expect(unmasked.rollouts[0].finished).toBeLessThan(0.5)
    expect(unmasked.rollouts[0].excluded).toBeLessThan(0.5)
  })

  it('sampling and training have the same bits in float32, until the run ends', async () => {
    const rollout = { prompts: 8, maxNewTokens: 6 }
    const { notes } = await run('rloo', 'exact', { rollout, budget: { steps: 2 } })
    expect(notes.join('\n')).toMatch(/agree on \d+ tokens before the first step: largest difference 0 nats/)
    expect(isBatchInvariant()).toBe(false)
    const rounded = { ...rollout, exact: true }
    await expect(run('rloo', 'rounded', { rollout: rounded, precision: 'bfloat16' })).rejects.toThrow(
      '`rollout.exact` needs `precision`',
    )
  })

  it('ppo trains policy and critic as adapters on one frozen base', async () => {
    const { rollouts, steps, notes } = await run('ppo', 'ppo-lora', {
      variant: 'lora',
      frozenWeights: 'nf4',
      learningRate: 0.02,
      rollout: { prompts: 24, answers: 4, maxNewTokens: 6, epochs: 2 },
      budget: { steps: 16 },
    })
    expect(notes.join()).toMatch(/Critic: an adapter of its own/)
    expect(rollouts.at(-1)?.reward).toBeGreaterThan(rollouts[0].reward + 0.04)
    expect(steps.at(-1)?.terms).toMatchObject({ policy: expect.any(Number), value: expect.any(Number) })
    expect(rollouts.at(-1)).toMatchObject({ explainedVariance: expect.any(Number), klCoefficient: 0.05 })
    const { model } = await loadForInference({ model: small.at('ppo-lora') })
    expect(model.headType).toBe('causal-lm')
  })
})

describe('a run with rewards', () => {
  it('keeps every answer, reports what it measured, and says what holds before the first step', async () => {
    const { rollouts, notes, events } = await run('grpo', 'kept', {
      rewards: [letters, 'length:cost=0.01'],
      judge: share,
      budget: { steps: 3 },
      evaluate: { steps: 1 },
    })
    expect(notes.join('\n')).toMatch(/Sampling and training agree on \d+ tokens/)
    expect(notes.join('\n')).toMatch(/Policy and reference agree on \d+ tokens/)
    expect(rollouts[0]).toMatchObject({
      reward: expect.any(Number),
      'reward.regular-expression': expect.any(Number),
      'reward.length': expect.any(Number),
      completionTokens: expect.any(Number),
      finished: expect.any(Number),
      equalGroups: expect.any(Number),
      entropy: expect.any(Number),
      samplingShare: expect.any(Number),
    })
    const files = await rolloutFiles(join(small.at('kept'), 'rollouts'))
    expect(files).toHaveLength(3)
    const rows = await readRollout(files[0])
    expect(rows).toHaveLength(64)
    expect(Object.keys(rows[0].rewards)).toEqual(['regular-expression', 'length'])
    const mean = rows.reduce((sum, { reward }) => sum + (reward ?? 0), 0) / rows.length
    expect(mean).toBeCloseTo(rollouts[0].reward, 10)
    const evaluation = events.find(({ type }) => type === 'evaluation')
    expect(evaluation).toMatchObject({ metrics: { judge: expect.any(Number), reward: expect.any(Number) } })
    const { metrics } = evaluation as unknown as { metrics: Record<string, number> }
    // Cross entropy is entropy and divergence.
    expect(Math.log(metrics.referencePerplexity)).toBeCloseTo(
      metrics.entropy + metrics.kl / metrics.completionTokens,
      5,
    )
    expect(existsSync(join(small.at('kept'), 'report.html'))).toBe(true)
  })

  it.each([
    [
      'grpo, several steps on each rollout',
      'grpo',
      { batch: { sequences: 24 }, rollout: { prompts: 8, epochs: 2, maxNewTokens: 6 } },
    ],
    [
      'dapo, groups that are replaced',
      'dapo',
      { rollout: { prompts: 6, answers: 4, maxNewTokens: 6 }, batch: { sequences: 12 } },
    ],
    [
      'ppo, adapters, an adaptive coefficient',
      'ppo',
      {
        variant: 'lora',
        settings: { adaptiveKl: { target: 0.5, horizon: 100 } },
        rollout: { prompts: 16, epochs: 2, maxNewTokens: 6 },
        batch: { sequences: 8 },
      },
    ],
    [
      'ppo, a head on the policy',
      'ppo',
      { rollout: { prompts: 16, epochs: 2, maxNewTokens: 6 }, batch: { sequences: 8 } },
    ],
  ])('resumes to the bit: %s', async (title, objective, more) => {
    const name = title.replaceAll(/\W+/g, '-')
    const rewards = [letters, 'length:cost=0.01']
    await run(objective, name, { ...more, rewards, budget: { steps: 1 }, untrainedBaseline: false })
    // Three steps end in the middle of the epochs over a rollout.
    expect(await verifyResume(small.at(name), { steps: 3 })).toMatchObject({ equal: true, different: [] })
  })

  it('has answers that are browsed, filtered and written as training data', async () => {
    const out = small.at('browsed')
    await run('grpo', 'browsed', { rewards: [share], budget: { steps: 2 }, untrainedBaseline: false })
    const all = await browseRollouts(out)
    expect(all).toHaveLength(2 * 8 * 8)
    const good = await browseRollouts(out, { rollout: 2, minReward: 0.6, sort: 'reward' })
    expect(good.length).toBeGreaterThan(0)
    expect(good.every(({ rollout, reward }) => rollout === 2 && (reward ?? 0) >= 0.6)).toBe(true)
    expect(good.map(({ reward }) => reward)).toEqual(good.map(({ reward }) => reward ?? 0).sort((a, b) => b - a))
    const file = small.at('browsed.jsonl')
    const lines = () =>
      readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    const shown = await runHere(['rollouts', out, '--limit', '1', '--export', file, '--form', 'pairs', '--json'])
    expect(JSON.parse(shown.stdout)).toMatchObject({ count: 128, answers: [{ rollout: 1 }], written: { path: file } })
    for (const { margin, chosen, rejected } of lines()) {
      expect(margin).toBeGreaterThan(0)
      expect(chosen).not.toBe(rejected)
    }
    expect(await writeRollouts(file, all, 'sft')).toBe(16)
    // The pairs are read as preferences.
    await writeRollouts(file, all, 'pairs')
    expect((await readPreferences(file, preferenceSchema.parse({ onFault: 'skip' }))).records.length).toBeGreaterThan(0)
    const text = await runHere(['rollouts', out, '--limit', '2', '--full'])
    expect(text.stdout).toMatch(/128 answers, mean reward 0\.\d+\n── rollout 1, group 0, answer 0/)
    const none = await runHere(['rollouts', small.base])
    expect(none).toMatchObject({ code: 1, stderr: expect.stringMatching(/found no rollout/) })
  })

  it('is a command, and its runs are compared', async () => {
    const flags = [
      '--base',
      small.base,
      '--data',
      prompts,
      '--reward',
      'regular-expression:pattern=h',
      '--budget.steps',
      '2',
    ]
    const more = ['--rollout.prompts', '4', '--rollout.max-new-tokens', '4', '--answers.validation', '4', '--json']
    for (const objective of ['grpo', 'rloo']) {
      const made = await runHere([
        'align',
        '--objective',
        objective,
        ...flags,
        ...more,
        '--out',
        small.at(`c-${objective}`),
      ])
      expect(made.stderr).not.toMatch(/error/)
      expect(JSON.parse(made.stdout)).toMatchObject({ reason: 'finished', metrics: { reward: expect.any(Number) } })
    }
    const compared = await compareRuns([small.at('c-grpo'), small.at('c-rloo')])
    const { runs } = compared
    expect(await renderComparisonPage(compared)).toContain('reward against KL divergence from the base')
    expect(runs.map(({ metric }) => metric)).toEqual(['reward', 'reward'])
    expect(runs[1].difference).toMatchObject({ value: expect.any(Number) })
    const samples = JSON.parse(readFileSync(join(small.at('c-grpo'), 'samples.json'), 'utf8')) as object[]
    expect(samples).toHaveLength(4)
  })
})

describe('errors', () => {
  const fault = (objective: string, more: object) => align(recipe(objective, 'wrong', more))

  it('name the column that a reward compares with and the data lacks, before the base is opened', async () => {
    const data = small.at('questions.jsonl')
    writeFileSync(data, ['a', 'b', 'c', 'd'].map((prompt) => `${JSON.stringify({ prompt, topic: 't' })}\n`).join(''))
    const columnFault = (reward: string) => fault('grpo', { data, rewards: ['finished', reward] })
    await expect(columnFault('numeric-match')).rejects.toThrow(
      /`numeric-match` needs the reference answer of each prompt, .*\(columns: prompt, topic\): name its column with `columns.reference`/,
    )
    await expect(columnFault('exact-match:column=answer')).rejects.toThrow(
      /`exact-match` needs the column `answer`, .*\(columns: prompt, topic\): change `column`/,
    )
    expect(existsSync(join(small.at('wrong'), 'checkpoints'))).toBe(false)
  })

  it('name what is wrong before anything is written', async () => {
    await expect(fault('grpo', { rewards: [] })).rejects.toThrow(/needs rewards: set `rewards`, such as/)
    await expect(fault('grpo', { rewards: ['numeric-mach'] })).rejects.toThrow(/numeric-match/)
    await expect(fault('dpo', { rewards: ['finished'] })).rejects.toThrow(/no `rewards`.* with the objective dpo/)
    await expect(fault('grpo', { rollout: { answers: 1, maxNewTokens: 6 } })).rejects.toThrow(
      /at least 2 for `rollout.answers`/,
    )
    await expect(fault('grpo', { rollout: { maxNewTokens: 500 } })).rejects.toThrow(/at most 128 tokens together/)
    await expect(fault('grpo', { settings: { advantages: { scale: 'all' } } })).rejects.toThrow(/scale/)
    await expect(fault('grpo', { reference: { cache: true } })).rejects.toThrow(/no `reference.cache`/)
    await expect(fault('ppo', { settings: { critic: 'adapter' } })).rejects.toThrow(/head for `settings.critic`/)
    expect(existsSync(join(small.at('wrong'), 'run.json'))).toBe(false)
  })

  it('are those of rewards that throw, return NaN or the wrong count, or hang', async () => {
    const first = (score: unknown) => fault('grpo', { rewards: [score] })
    await expect(
      first(() => {
        throw new Error('no network')
      }),
    ).rejects.toThrow(/no network/)
    await expect(first((all: unknown[]) => all.map(() => Number.NaN))).rejects.toThrow(/NaN/)
    await expect(first(() => [1])).rejects.toThrow(/4|count|1/)
    const slow = { name: 'slow', weight: 1, timeoutSeconds: 0.05, score: () => new Promise<number[]>(() => {}) }
    await expect(first(slow)).rejects.toThrow(/slow/)
    // Pre-flight scores each answer alone too.
    let calls = 0
    await expect(first((all: unknown[]) => all.map(() => calls++))).rejects.toThrow(/depends on the answer alone/)
  })
})
