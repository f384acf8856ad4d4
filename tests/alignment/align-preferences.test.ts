// Alignment runs with preferences, end to end on a small model: variants, references, resuming, what a run leaves, and errors.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadForInference } from '../../src/inference/index.ts'
import { align, compareRuns, verifyResume } from '../../src/runs/index.ts'
import { CHAT_TEMPLATES } from '../../src/tokenizers/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { dialogueRows, makeSmallAlignment, pairRows, ratingRows, type SmallAlignment } from './small-alignment.ts'

let small: SmallAlignment
let pairs: string
let validation: string

beforeAll(async () => {
  small = await makeSmallAlignment()
  pairs = small.rows('pairs.jsonl', pairRows(48))
  validation = small.rows('validation.jsonl', pairRows(60).slice(48))
})
afterAll(() => small.dispose())

const recipe = (objective: string, name: string, more: object = {}) =>
  ({
    objective,
    base: small.base,
    data: pairs,
    validation,
    out: small.at(name),
    batch: { sequences: 8 },
    budget: { epochs: 2 },
    learningRate: 0.003,
    answers: { samples: 2, maxNewTokens: 4 },
    ...more,
  }) as unknown as Parameters<typeof align>[0]

const run = async (objective: string, name: string, more: object = {}) => {
  const events: TrainingEvent[] = []
  const notes: string[] = []
  const result = await align(recipe(objective, name, more), {
    onEvent: (event) => events.push(event),
    onNote: (note) => notes.push(note),
  })
  const steps = events.flatMap((event) => (event.type === 'step' ? [event] : []))
  const evaluations = events.flatMap((event) => (event.type === 'evaluation' ? [event] : []))
  return { result, steps, evaluations, notes, events }
}

const evaluationOf = (name: string) =>
  JSON.parse(readFileSync(join(small.at(name), 'model', 'evaluation.json'), 'utf8')) as {
    metrics: Record<string, { value: number; low: number; high: number }>
    references: { name: string; metrics: Record<string, { value: number }> }[]
  }

describe('dpo', () => {
  it.each([
    ['full', 0.003],
    ['lora', 0.03],
  ])('%s starts at log 2 with margin 0, and learns to prefer', async (variant, learningRate) => {
    const { result, steps, evaluations, notes } = await run('dpo', variant, { variant, learningRate })
    expect(notes.join()).toMatch(/agree on \d+ tokens before the first step: largest difference 0 nats/)
    expect(result).toMatchObject({ reason: 'finished', steps: 12 })
    // Before the first step, policy and reference are the same model.
    expect(steps[0].loss).toBeCloseTo(Math.log(2), 6)
    expect(steps[0].metrics).toMatchObject({ accuracy: 0.5, rewardMargin: 0, klPerToken: 0 })
    expect(evaluations.map(({ step }) => step)).toEqual([6, 12])
    expect(evaluations[1].metrics.accuracy).toBeGreaterThan(0.9)
    const { metrics, references } = evaluationOf(variant)
    expect(metrics.accuracy.value).toBe(evaluations.find(({ best }) => best)?.metrics.accuracy)
    expect(metrics.margin.value).toBeGreaterThan(metrics.margin.low)
    // The base compares with itself.
    expect(references[0]).toMatchObject({ name: 'untrained base', metrics: { accuracy: { value: 0.5 } } })
    const samples = JSON.parse(readFileSync(join(small.at(variant), 'samples.json'), 'utf8')) as object[]
    expect(samples).toHaveLength(2)
    expect(samples[0]).toMatchObject({ id: '0', before: expect.any(String), after: expect.any(String) })
    const { model } = await loadForInference({ model: small.at(variant) })
    expect(model.headType).toBe('causal-lm')
  })

  it('gives the same losses with a cached reference, which is computed once', async () => {
    process.env.XDG_CACHE_HOME = small.at('cache')
    const plain = await run('dpo', 'plain', { budget: { steps: 4 } })
    const cached = await run('dpo', 'cached', { budget: { steps: 4 }, reference: { cache: true } })
    const again = await run('dpo', 'again', { budget: { steps: 4 }, reference: { cache: true } })
    delete process.env.XDG_CACHE_HOME
    const losses = (one: typeof plain) => one.steps.map(({ loss }) => loss)
    for (const [i, loss] of losses(plain).entries()) expect(losses(cached)[i]).toBeCloseTo(loss, 6)
    expect(losses(again)).toEqual(losses(cached))
    expect(cached.notes.join()).toMatch(/reference log-probabilities of 120 completions.*a frozen copy, cached/s)
  })

  it('does not depend on the size of micro-batches, nor on padding', async () => {
    const losses = async (name: string, batch: object) =>
      (await run('dpo', name, { batch: { sequences: 8, ...batch }, budget: { steps: 3 } })).steps.map(
        ({ loss }) => loss,
      )
    const whole = await losses('whole', {})
    for (const [name, batch] of Object.entries({ single: { microTokens: 1 }, padded: { padded: true } }))
      for (const [i, loss] of (await losses(name, batch)).entries()) expect(loss).toBeCloseTo(whole[i], 5)
  })

  it('has no dropout unless it is asked for, also in layers that are recomputed', async () => {
    const other = await makeSmallAlignment('gpt2')
    const losses = async (name: string, more: object) => {
      const options = { base: other.base, untrainedBaseline: false, answers: { samples: 0 }, budget: { steps: 3 } }
      return (await run('dpo', name, { ...options, ...more })).steps.map(({ loss }) => loss)
    }
    const plain = await losses('no-dropout', {})
    for (const [i, loss] of (await losses('recomputed', { recompute: 'all' })).entries())
      expect(loss).toBeCloseTo(plain[i], 6)
    expect(plain[0]).toBeCloseTo(Math.log(2), 6)
    // Dropout makes the policy differ from its reference.
    const dropped = await losses('dropout', { dropout: true })
    expect(Math.abs(dropped[0] - Math.log(2))).toBeGreaterThan(1e-4)
    // Its masks are those of the pair, whatever is beside it.
    for (const [name, batch] of Object.entries({ single: { microTokens: 1 }, padded: { padded: true } })) {
      const others = await losses(`dropout-${name}`, { dropout: true, batch: { sequences: 8, ...batch } })
      for (const [i, loss] of others.entries()) expect(loss).toBeCloseTo(dropped[i], 5)
    }
    other.dispose()
  })

  it.each(['float32', 'bfloat16'] as const)('trains on a quantised base in %s', async (precision) => {
    const { steps, notes } = await run('dpo', `nf4-${precision}`, {
      variant: 'lora',
      frozenWeights: 'nf4',
      precision,
      learningRate: 0.03,
      budget: { steps: 6 },
    })
    expect(notes.join()).toMatch(/quantised to nf4/)
    expect(steps[0].loss).toBeCloseTo(Math.log(2), precision === 'float32' ? 5 : 2)
    expect(steps[5].loss).toBeLessThan(0.69)
  })
})

describe('other objectives', () => {
  it.each(['simpo', 'orpo', 'ipo'])('%s learns from pairs', async (objective) => {
    const { evaluations } = await run(objective, objective)
    expect(evaluations[1].metrics.accuracy).toBeGreaterThan(0.9)
    expect(evaluationOf(objective).metrics.accuracy.value).toBeGreaterThan(0.8)
  })

  it.each([
    ['dpo', 'likelihoodAccuracy', ['accuracy', 'margin', 'displaced']],
    ['kto', 'likelihoodAuc', ['auc', 'margin']],
  ])('%s without the base is scored by likelihood, under a name of its own', async (objective, main, gains) => {
    const name = `${objective}-no-base`
    const data = objective === 'kto' ? small.rows('few-ratings.jsonl', ratingRows(24)) : pairs
    const more = { data, validation: undefined, validationShare: 0.3, budget: { steps: 1 }, answers: { samples: 0 } }
    const { result } = await run(objective, name, { ...more, untrainedBaseline: false })
    expect(result.mainMetric).toBe(main)
    expect(evaluationOf(name)).toMatchObject({ mainMetric: main, metrics: { [main]: { value: expect.any(Number) } } })
    for (const gain of gains) expect(evaluationOf(name).metrics).not.toHaveProperty(gain)
    // Runs with other main scores are not compared with each other.
    await run(objective, `${name}-but-one`, more)
    const { runs } = await compareRuns([small.at(name), small.at(`${name}-but-one`)])
    expect(runs.map(({ metric }) => metric).sort()).toEqual([gains[0], main].sort())
    expect(runs.every(({ difference }) => difference === undefined)).toBe(true)
  })

  it('kto learns from ratings', async () => {
    const data = small.rows('ratings.jsonl', ratingRows(48))
    const { result, evaluations } = await run('kto', 'kto', {
      data,
      validation: small.rows('rated.jsonl', ratingRows(72).slice(48)),
      budget: { epochs: 4 },
    })
    expect(evaluations[3].metrics.loss).toBeLessThan(evaluations[0].metrics.loss)
    expect(result.metrics.auc).toBeGreaterThan(0.9)
  })
})

describe('resuming', () => {
  it.each([
    ['dpo, an adapter', 'dpo', { variant: 'lora' }],
    ['dpo, all weights, a reference that follows', 'dpo', { settings: { referenceSyncSteps: 2 } }],
    ['bco, a running mean', 'bco', {}],
    ['dpo, a cached reference', 'dpo', { reference: { cache: true } }],
  ])('gives the same bytes: %s', async (title, objective, more) => {
    process.env.XDG_CACHE_HOME = small.at('cache')
    const name = title.replaceAll(/\W+/g, '-')
    await run(objective, name, { ...more, budget: { steps: 1 }, untrainedBaseline: false, answers: { samples: 0 } })
    expect(await verifyResume(small.at(name), { steps: 3 })).toMatchObject({ equal: true, different: [] })
    delete process.env.XDG_CACHE_HOME
  })
})

describe('conversations', () => {
  it('save the chat template with the model, also beside an adapter', async () => {
    const rows = small.rows('dialogues.jsonl', dialogueRows(24))
    for (const variant of ['full', 'lora']) {
      const name = `chat-${variant}`
      await run('dpo', name, {
        data: rows,
        validation: undefined,
        validationShare: 0.3,
        variant,
        template: 'chatml',
        budget: { steps: 2 },
      })
      const { tokenizer } = await loadForInference({ model: small.at(name) })
      expect(tokenizer.chatTemplate).toBe(CHAT_TEMPLATES.chatml)
    }
  })
})

describe('the command', () => {
  it('runs, compares with other runs, and gives JSON', async () => {
    const flags = ['--base', small.base, '--data', pairs, '--validation', validation, '--batch.sequences', '8']
    const more = ['--budget.steps', '4', '--learning-rate', '0.003', '--answers.samples', '1', '--json']
    const made = await runHere(['align', '--objective', 'hinge', ...flags, ...more, '--out', small.at('command')])
    expect(made.stderr).not.toMatch(/error/)
    expect(JSON.parse(made.stdout)).toMatchObject({
      reason: 'finished',
      steps: 4,
      metrics: { accuracy: expect.any(Number) },
    })
    expect(existsSync(join(small.at('command'), 'report.html'))).toBe(true)
    const { runs } = await compareRuns([small.at('full'), small.at('lora'), small.at('command')])
    expect(runs.map(({ metric }) => metric)).toEqual(['accuracy', 'accuracy', 'accuracy'])
    expect(runs.map(({ variant }) => variant).sort()).toEqual(['dpo, full', 'dpo, lora', 'hinge, full'])
    expect(runs[2].difference).toMatchObject({ to: runs[0].name, value: expect.any(Number) })
  })
})

describe('errors', () => {
  const fault = (objective: string, more: object) => align(recipe(objective, 'wrong', more))

  it('name what is wrong before anything is written', async () => {
    await expect(fault('dqo', {})).rejects.toThrow(/one of dpo, .*for `objective`|dqo.*Did you mean/)
    await expect(fault('dpo', { settings: { gammaRatio: 1 } })).rejects.toThrow(/gammaRatio/)
    await expect(fault('dpo', { columns: { label: 'x' } })).rejects.toThrow(/label/)
    await expect(fault('dpo', { maxLength: 999 })).rejects.toThrow(/at most 128 for `maxLength`.*got 999/)
    await expect(fault('dpo', { variant: 'feature-based' })).rejects.toThrow(/variant/)
    await expect(fault('dpo', { variant: 'lora', reference: { precision: 'int8' } })).rejects.toThrow(
      /no `reference.precision` with the variant lora/,
    )
    await expect(fault('simpo', { reference: { cache: true } })).rejects.toThrow(/no `reference.cache`.*no reference/)
    await expect(fault('dpo', { frozenWeights: 'bfloat16', precision: 'bfloat16' })).rejects.toThrow(
      /no effect with bfloat16/,
    )
    await expect(fault('kto', { columns: { label: 3 } })).rejects.toThrow(/label/)
    expect(existsSync(join(small.at('wrong'), 'run.json'))).toBe(false)
  })

  it('are raised where most pairs cannot teach anything', async () => {
    const same = small.rows(
      'same.jsonl',
      pairRows(40).map((row) => ({ ...row, rejected: (row as { chosen: string }).chosen })),
    )
    await expect(fault('dpo', { data: same })).rejects.toThrow(/identical-answers/)
    await expect(fault('dpo', { maxLength: 4, tooLong: 'drop' })).rejects.toThrow(/too-long/)
  })
})
