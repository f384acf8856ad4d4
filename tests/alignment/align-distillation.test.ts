// On-policy distillation end to end on a small model: a student comes closer to its teacher on answers of its own, whatever holds the weights
// of either; runs resume to the bit, keep what was sampled, are planned, and refuse settings that would have no effect.
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { distillationMethod } from '../../src/alignment/index.ts'
import { saveModel } from '../../src/checkpoint/index.ts'
import { buildModel, models } from '../../src/models/index.ts'
import { align, browseRollouts, compareRuns, finetune, planRun, verifyResume } from '../../src/runs/index.ts'
import { Generator } from '../../src/tensor/index.ts'
import { readRunCard, type TrainingEvent } from '../../src/tracking/index.ts'
import { away, skippedAway } from '../device.ts'
import { runHere } from '../e2e/run-folder.ts'
import { chatTokenizer } from '../tasks/chat-tokenizer.ts'
import { makeSmallAlignment, type SmallAlignment } from './small-alignment.ts'

let small: SmallAlignment
let prompts: string
let teacher: string

/** A language model over the words of the base, with more and other weights. */
const saveOther = async (name: string, { vocabSize, tokenizer }: { vocabSize: number; tokenizer: string }) => {
  const sizes = { hiddenSize: 48, numLayers: 3, numHeads: 4, numKvHeads: 2, intermediateSize: 64, maxPositions: 128 }
  const config = models.llama.adjust({}, { ...sizes, vocabSize })
  const model = buildModel(models.llama, config, 'causal-lm').initialize({ std: 0.3, generator: new Generator(7) })
  await saveModel(model, small.at(name), { tokenizer })
  return small.at(name)
}

/** A run that learned to answer "ho ho". */
const tuned = async (name: string, more: object): Promise<string> => {
  const rows = Array.from({ length: 40 }, (_, i) => ({
    prompt: `${'hi '.repeat(1 + (i % 3))}${i}:`,
    completion: ' ho ho',
  }))
  await finetune({
    task: 'instructions',
    data: small.rows(`${name}.jsonl`, rows),
    settings: { instruction: 'prompt', output: 'completion', template: 'completion' },
    batch: { sequences: 8 },
    budget: { steps: 20 },
    out: small.at(name),
    ...more,
  } as unknown as Parameters<typeof finetune>[0])
  return small.at(name)
}

beforeAll(async () => {
  small = await makeSmallAlignment()
  prompts = small.rows(
    'prompts.jsonl',
    Array.from({ length: 40 }, (_, i) => ({ prompt: `${'hi '.repeat(1 + (i % 3))}${i}:` })),
  )
  const base = await saveOther('larger', { vocabSize: chatTokenizer().maxId + 1, tokenizer: small.at('tokenizer') })
  teacher = await tuned('teacher', { base, learningRate: 0.01 })
})
afterAll(() => small.dispose())

const recipe = (name: string, more: object = {}) =>
  ({
    objective: 'gkd',
    base: small.base,
    data: prompts,
    validationShare: 0.3,
    distillation: { teacher },
    out: small.at(name),
    rollout: { prompts: 16, maxNewTokens: 6 },
    budget: { steps: 24 },
    learningRate: 0.02,
    schedule: { type: 'constant' },
    answers: { validation: 12, samples: 2 },
    ...more,
  }) as unknown as Parameters<typeof align>[0]

const run = async (name: string, more: object = {}) => {
  const events: TrainingEvent[] = []
  const notes: string[] = []
  const result = await align(recipe(name, more), {
    onEvent: (event) => events.push(event),
    onNote: (note) => notes.push(note),
  })
  const rollouts = events.flatMap((event) => (event.type === 'rollout' ? [event.metrics] : []))
  const losses = events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))
  return { result, rollouts, losses, notes }
}

describe('a student', () => {
  it.each([
    ['reverse-kl', {}],
    ['forward-kl', { distillation: { divergence: 'forward-kl' } }],
    ['jensen-shannon', { distillation: { divergence: 'jensen-shannon' }, rollout: { temperature: 0.8 } }],
    ['teacher in 4 bits', { distillation: { precision: 'nf4' } }],
  ])('comes closer to its teacher: %s', async (title, { distillation, rollout, ...more }: Record<string, object>) => {
    const name = title.replaceAll(' ', '-')
    const { result, rollouts, notes } = await run(name, {
      ...more,
      distillation: { teacher, ...distillation },
      rollout: { prompts: 16, maxNewTokens: 6, ...rollout },
    })
    expect(result.reason).toBe('finished')
    expect(notes.join('\n')).toContain(`Learns from the teacher ${teacher}`)
    const [before, after] = [result.references?.[0].metrics, result.metrics].map(
      (metrics) => metrics?.klPerToken ?? Number.NaN,
    )
    expect(before).toBeGreaterThan(4)
    expect(after, `${before} -> ${after}`).toBeLessThan(0.5 * before)
    // What needs rewards is not reported without them.
    expect(Object.keys(rollouts[0])).toContain('klPerToken')
    for (const absent of ['reward', 'unscored', 'equalGroups']) expect(Object.keys(rollouts[0])).not.toContain(absent)
    expect(result.metrics).not.toHaveProperty('reward')
  })

  it('learns with an adapter, whose run another one may have as its teacher', async () => {
    const divergence = 'forward-kl'
    const more = { distillation: { teacher, divergence }, variant: 'lora', learningRate: 0.05, budget: { steps: 10 } }
    const { losses } = await run('lora', more)
    // Two layers of random weights cannot do all that their teacher can.
    expect(losses[9], `${losses}`).toBeLessThan(0.75 * losses[0])
    const own = {
      distillation: { teacher: small.at('lora'), divergence },
      budget: { steps: 10 },
      untrainedBaseline: false,
    }
    const { losses: others } = await run('of-lora', own)
    expect(others[0]).toBeGreaterThan(0.1)
    expect(others[9], `${others}`).toBeLessThan(0.5 * others[0])
  })

  it('that is its teacher has nothing to learn', async () => {
    const { losses, rollouts } = await run('itself', {
      distillation: { teacher: small.base },
      budget: { steps: 2 },
      untrainedBaseline: false,
    })
    expect(Math.abs(losses[0])).toBeLessThan(1e-6)
    expect(Math.abs(rollouts[0].klPerToken)).toBeLessThan(1e-6)
  })

  it('is scored by rewards or a judge where there are some, and learns from the teacher alone', async () => {
    const settings = { budget: { steps: 2 }, untrainedBaseline: false }
    const without = await run('unscored', settings)
    const { rollouts, losses, result } = await run('scored', {
      ...settings,
      rewards: ['finished'],
      judge: 'length:target=3',
    })
    expect(rollouts[0]).toMatchObject({ reward: expect.any(Number), klPerToken: expect.any(Number) })
    expect(result.metrics).toMatchObject({ judge: expect.any(Number), klPerToken: expect.any(Number) })
    expect(losses).toEqual(without.losses)
  })
})

describe('a run', () => {
  it.each([
    ['full', {}],
    [
      'lora, two epochs over a rollout',
      { variant: 'lora', rollout: { prompts: 16, epochs: 2, maxNewTokens: 6 }, batch: { sequences: 8 } },
    ],
  ])('resumes to the bit: %s', async (title, more) => {
    const name = `resumed-${title.replaceAll(/\W+/g, '-')}`
    await run(name, { ...more, budget: { steps: 1 }, untrainedBaseline: false })
    expect(await verifyResume(small.at(name), { steps: 3 })).toMatchObject({ equal: true, different: [] })
  })

  it('is a command whose answers are browsed by divergence and written as training data, and that is compared', async () => {
    const flags = ['--objective', 'gkd', '--base', small.base, '--data', prompts, '--distillation.teacher', teacher]
    const more = ['--rollout.prompts', '4', '--rollout.max-new-tokens', '4', '--answers.validation', '4', '--json']
    for (const name of ['c-1', 'c-2']) {
      const seed = ['--seed', name.slice(2), '--budget.steps', '2', '--out', small.at(name)]
      const made = await runHere(['align', ...flags, ...more, ...seed])
      expect(made.stderr).not.toMatch(/error/)
      expect(JSON.parse(made.stdout)).toMatchObject({ reason: 'finished', metrics: { klPerToken: expect.any(Number) } })
    }
    const answers = await browseRollouts(small.at('c-1'), { sort: 'kl' })
    expect(answers).toHaveLength(8)
    const shown = await runHere(['rollouts', small.at('c-1'), '--sort', 'kl', '--limit', '2'])
    expect(shown).toMatchObject({ code: 0, stdout: expect.stringMatching(/^8 answers/) })
    expect(shown.stdout).not.toMatch(/NaN|undefined|null/)
    const file = small.at('written.jsonl')
    const written = await runHere(['rollouts', small.at('c-1'), '--export', file, '--form', 'sft', '--json'])
    expect(written, written.stderr).toMatchObject({ code: 2, stderr: expect.stringMatching(/none of the 8 has one/) })
    expect(existsSync(file)).toBe(false)
    const { runs } = await compareRuns([small.at('c-1'), small.at('c-2')])
    expect(runs.map(({ metric }) => metric)).toEqual(['klPerToken', 'klPerToken'])
    expect(existsSync(join(small.at('c-1'), 'report.html'))).toBe(true)
  })

  it.skipIf(away)(`has the memory that was planned${skippedAway("a plan is made with the CPU's memory")}`, async () => {
    const settings = { rollout: { prompts: 8, maxNewTokens: 40 }, budget: { steps: 3 }, untrainedBaseline: false }
    await run('planned', settings)
    const { prediction, measured } = (await readRunCard(small.at('planned')))!
    expect(measured!.peakBytes / prediction!.peakBytes).toBeGreaterThan(0.7)
    expect(measured!.peakBytes / prediction!.peakBytes).toBeLessThan(1.03)
    const { rows } = await planRun({ command: 'align', ...recipe('not-run', settings) }, { story: false })
    expect(rows[0].memory.peakBytes).toBeGreaterThan(0.97 * prediction!.peakBytes)
    expect(existsSync(small.at('not-run'))).toBe(false)
  })
})

describe('examples', () => {
  it('have the tokens that the model chose as targets, and not those of an environment', () => {
    const answer = { ids: Uint32Array.of(6, 7, 8, 9), mask: Uint8Array.of(1, 0, 0, 1) }
    const group = { prompt: { ids: Uint32Array.of(3, 4, 5) }, group: [answer] }
    const { examples } = distillationMethod({ temperature: 1 }).examples([group as never])
    expect(examples).toEqual([
      {
        ids: Uint32Array.of(3, 4, 5, 6, 7, 8),
        starts: [0],
        positions: Uint32Array.of(2, 5),
        targets: Uint32Array.of(6, 9),
        truncatedTokens: 0,
      },
    ])
  })
})

describe('errors', () => {
  it.each<[{ distillation?: object; [setting: string]: unknown }, RegExp]>([
    [{ distillation: {} }, /objective gkd needs a teacher: set `distillation.teacher`/],
    [{ distillation: { temperature: 1 } }, /needs a teacher: set `distillation.teacher`/],
    [{ reference: { precision: 'int8' } }, /no `reference.precision`.*Set `distillation.precision`/],
    [{ reference: { cache: true } }, /no `reference.cache`/],
    [{ rollout: { rounds: 2 } }, /Expected 1 for `rollout.rounds`/],
    [{ rollout: { measureKl: false } }, /`rollout.measureKl`, `rewards` or a `judge`/],
    [{ alarms: { kl: 3 } }, /no `alarms.kl`/],
    [{ settings: { beta: 0.1 } }, /beta/],
    [{ distillation: { weight: 0.5 } }, /weight/],
    [{ objective: 'grpo', rewards: ['finished'] }, /no `distillation.teacher` with the objective grpo.*choose gkd/],
    [{ objective: 'dpo', rollout: undefined, answers: undefined }, /no `distillation.teacher` with the objective dpo/],
  ])('of settings without effect: %j', async (more, message) => {
    const given = more.distillation ?? {}
    const distillation =
      'distillation' in more && Object.keys(given).join() !== 'weight' ? given : { teacher, ...given }
    await expect(align(recipe('wrong', { ...more, distillation }))).rejects.toThrow(message)
    expect(existsSync(small.at('wrong'))).toBe(false)
  })

  it('of a teacher with another vocabulary', async () => {
    const tokenizer = small.at('other-tokenizer')
    cpSync(small.at('tokenizer'), tokenizer, { recursive: true })
    const file = join(tokenizer, 'tokenizer.json')
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('<|eot_id|>', '<|turn|>'))
    const other = await saveOther('other', { vocabSize: chatTokenizer().maxId + 1, tokenizer })
    await expect(align(recipe('wrong', { distillation: { teacher: other } }))).rejects.toThrow(
      /Expected a teacher with the vocabulary of the student.*is "<\|turn\|>" and not "<\|eot_id\|>"/,
    )
  })
})
