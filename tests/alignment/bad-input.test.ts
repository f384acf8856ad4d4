// Bad input to alignment runs: each is a clear error before anything is lost, or a counted drop. Faults in the middle of a run leave its last
// whole step, from which it goes on to the same bits.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EnvironmentFunction, RewardSample } from '../../src/alignment/index.ts'
import { readRollout, rolloutFiles } from '../../src/alignment/index.ts'
import { loadModel, saveModel } from '../../src/checkpoint/index.ts'
import { align, resume } from '../../src/runs/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { program } from '../setup/program.ts'
import { makeSmallAlignment, pairRows, type SmallAlignment } from './small-alignment.ts'

let small: SmallAlignment
let prompts: string
let pairs: string

beforeAll(async () => {
  small = await makeSmallAlignment('llama', { template: 'chatml' })
  prompts = small.rows(
    'prompts.jsonl',
    Array.from({ length: 20 }, (_, i) => ({ prompt: `hi ${i}`, answer: 'ho' })),
  )
  pairs = small.rows('pairs.jsonl', pairRows(40))
})
afterAll(() => small.dispose())

type Input = Parameters<typeof align>[0]

const rewarding = (name: string, more: object = {}) =>
  ({
    objective: 'grpo',
    base: small.base,
    data: prompts,
    validationShare: 0.3,
    rewards: ['length:cost=0.01'],
    rollout: { prompts: 3, answers: 4, maxNewTokens: 5 },
    out: small.at(name),
    budget: { steps: 4 },
    learningRate: 0.01,
    schedule: { type: 'constant' },
    answers: { validation: 2, samples: 0 },
    untrainedBaseline: false,
    evaluate: { steps: 100 },
    ...more,
  }) as unknown as Input

const preferring = (name: string, more: object = {}) =>
  ({
    objective: 'dpo',
    base: small.base,
    data: pairs,
    out: small.at(name),
    batch: { sequences: 8 },
    budget: { steps: 2 },
    answers: { samples: 0 },
    untrainedBaseline: false,
    ...more,
  }) as unknown as Input

const losses = (name: string) =>
  readFileSync(join(small.at(name), 'events.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as TrainingEvent)
    .flatMap((event) => (event.type === 'step' ? [event.loss] : []))

/** The share of even tokens; from the call `after` on it does what `fault` does, until it is repaired. */
const breaking = (fault: (samples: readonly RewardSample[]) => unknown, after: number) => {
  const state = { calls: 0, broken: true }
  const even = (samples: readonly RewardSample[]) => {
    state.calls++
    if (state.broken && state.calls > after) return fault(samples) as number[]
    return samples.map(({ completionIds: ids }) => Array.from(ids).filter((id) => id % 2 === 0).length / ids.length)
  }
  return { state, even }
}

describe('a reward that fails in the middle of a run', () => {
  let whole: number[]
  beforeAll(async () => {
    const { state, even } = breaking(() => [], 0)
    state.broken = false
    await align(rewarding('whole', { rewards: [even] }))
    whole = losses('whole')
    expect(whole).toHaveLength(4)
  })

  it.each<[string, (samples: readonly RewardSample[]) => unknown, RegExp]>([
    [
      'throws',
      () => {
        throw new Error('the server is gone')
      },
      /`even` threw Error: the server is gone/,
    ],
    ['hangs', () => new Promise(() => {}), /within 0\.2 s/],
    ['returns NaN', (samples) => samples.map(() => Number.NaN), /finite number or null .* NaN/],
    ['returns the wrong count', () => [1], /Expected 12 rewards from `even`.*got 1/],
  ])('%s: the run ends with its last whole step, and goes on to the same bits', async (what, fault, message) => {
    const name = what.replaceAll(' ', '-')
    // Two calls and one for each of four answers in the pre-flight, then one for each rollout.
    const { state, even } = breaking(fault, 7)
    const reward = { name: 'even', weight: 1, timeoutSeconds: what === 'hangs' ? 0.2 : 60, score: even }
    const stopped = align(rewarding(name, { rewards: [reward] }))
    await expect(stopped).rejects.toThrow(message)
    const before = losses(name)
    expect(before.length).toBeGreaterThan(0)
    expect(before.length).toBeLessThan(4)
    state.broken = false
    const { reason, steps } = await resume(small.at(name))
    expect({ reason, steps }).toEqual({ reason: 'finished', steps: 4 })
    expect(losses(name)).toEqual(whole)
  })

  it('or leaves out the answers that it failed on, and counts them', async () => {
    const odd = { name: 'odd', weight: 1, onFailure: 'null' as const, samplesPerCall: 1 }
    const score = ([{ completionIds: ids }]: readonly RewardSample[]) => [ids[0] % 2 === 0 ? Number.NaN : ids.length]
    await align(rewarding('left-out', { rewards: [{ ...odd, score }, 'length:cost=0.01'], budget: { steps: 2 } }))
    const rows = (
      await Promise.all((await rolloutFiles(join(small.at('left-out'), 'rollouts'))).map(readRollout))
    ).flat()
    const failed = rows.filter(({ rewards }) => rewards.odd === null)
    expect(failed.length).toBeGreaterThan(0)
    expect(failed.length).toBeLessThan(rows.length)
    for (const { completionIds } of failed) expect(completionIds[0] % 2).toBe(0)
    // A sum without a part would be wrong, so the answer has no reward and no advantage.
    for (const { reward, advantage } of failed) expect([reward, advantage ?? 0]).toEqual([null, 0])
  })
})

describe('an environment', () => {
  const endless: EnvironmentFunction = () => ({ messages: [{ role: 'user', content: 'ho' }], reward: 0.5, done: false })
  const more = { rollout: { prompts: 2, answers: 2, maxNewTokens: 8 }, episode: { maxTurns: 2 }, budget: { steps: 1 } }

  it('that never ends is cut by the limits of episodes, and counted', async () => {
    const metrics: Record<string, number>[] = []
    await align(rewarding('endless', { ...more, environment: endless, rewards: ['length:cost=0.01'] }), {
      onEvent: (event) => event.type === 'rollout' && metrics.push(event.metrics),
    })
    expect(metrics[0]).toMatchObject({ episodesCut: 1, episodesDone: 0 })
  })

  it('that hangs ends the run with its name, or costs its own answer', async () => {
    const hanging: EnvironmentFunction = () => new Promise(() => {})
    // A model that was never trained ends few turns itself; every token ends one here.
    const always = {
      ...more,
      episode: { maxTurns: 2, timeoutSeconds: 0.05 },
      rollout: { ...more.rollout, maxNewTokens: 60 },
    }
    await expect(
      align(rewarding('hanging', { ...always, environment: hanging, rewards: ['length:cost=0.01'] })),
    ).rejects.toThrow(/environment `hanging` within 0\.05 s/)
  })
})

describe('data', () => {
  it('with pairs of equal answers: they are counted and left out', async () => {
    const rows = pairRows(40) as { chosen: string }[]
    const some = small.rows('some.jsonl', [...rows, { ...rows[0], rejected: rows[0].chosen }])
    const notes: string[] = []
    await align(preferring('some', { data: some }), { onNote: (note) => notes.push(note) })
    expect(notes.join('\n')).toMatch(/identical-answers/)
  })

  it('with prompts longer than the context: truncated and counted, dropped and counted, or an error with the line', async () => {
    const long = { prompt: 'hi '.repeat(200), chosen: ' ho', rejected: ' hi' }
    const data = small.rows('long.jsonl', [long, ...pairRows(40)])
    const notesOf = async (name: string, tooLong: string) => {
      const notes: string[] = []
      await align(preferring(name, { data, tooLong }), { onNote: (note) => notes.push(note) })
      return notes.join('\n')
    }
    expect(await notesOf('truncated', 'truncate')).toMatch(/Truncated 2? ?\d* prompts? to 64 tokens/)
    expect(await notesOf('dropped', 'drop')).toMatch(/too-long/)
    await expect(notesOf('refused', 'error')).rejects.toThrow(/long\.jsonl:1/)
    expect(existsSync(join(small.at('refused'), 'run.json'))).toBe(false)
  })
})

describe('models', () => {
  it('without an end-of-text token are refused before anything is written', async () => {
    const folder = small.at('endless-tokenizer')
    mkdirSync(folder, { recursive: true })
    for (const file of ['tokenizer.json', 'tokenizer_config.json'])
      if (existsSync(join(small.base, file))) {
        const text = readFileSync(join(small.base, file), 'utf8')
        const fields = JSON.parse(text) as Record<string, unknown>
        delete fields.eos_token
        delete fields.chat_template
        writeFileSync(join(folder, file), JSON.stringify(fields))
      }
    for (const input of [rewarding('no-end', { tokenizer: folder }), preferring('no-end', { tokenizer: folder })])
      await expect(align(input)).rejects.toThrow(/end-of-text token/)
    expect(existsSync(join(small.at('no-end'), 'run.json'))).toBe(false)
  })

  it('that are no reward models, or lie nowhere, are refused as rewards with what to do', async () => {
    const base = await loadModel(small.base)
    await saveModel(base, small.at('language'), { tokenizer: small.at('tokenizer') })
    const fault = (model: string) => align(rewarding('judged', { rewards: [{ type: 'reward-model', model }] }))
    await expect(fault(small.at('language'))).rejects.toThrow(/head is new/)
    await expect(fault(small.at('nowhere'))).rejects.toThrow(/nowhere/)
    expect(existsSync(join(small.at('judged'), 'run.json'))).toBe(false)
  })
})

describe('functions of a recipe file', () => {
  it('are read again by a resumed run, as they are then', async () => {
    const path = small.at('counting.ts')
    const recipe = { ...(rewarding('from-file') as object), rewards: undefined }
    const write = (body: string) =>
      writeFileSync(
        path,
        `const even = (samples: { completionIds: ArrayLike<number> }[]) => ${body}\nexport default { command: 'align', ...${JSON.stringify(recipe)}, rewards: [even] }\n`,
      )
    write('{ throw new Error("not yet") }')
    const first = await runHere(['align', '--recipe', path, '--json'])
    expect(first.stderr).toMatch(/not yet/)
    const right =
      'samples.map(({ completionIds: ids }) => Array.from(ids).filter((id) => id % 2 === 0).length / ids.length)'
    write(right)
    const second = await runHere(['align', '--recipe', path, '--budget.steps', '2', '--json'])
    expect(second.stderr).not.toMatch(/error/i)
    const card = JSON.parse(readFileSync(join(small.at('from-file'), 'run.json'), 'utf8')) as Record<string, unknown>
    expect(JSON.stringify(card)).toContain(JSON.stringify(path))
    expect(JSON.stringify(card)).toContain('"type":"function","name":"even"')
    // Another process has no functions: the run is resumed in one.
    const { spawnSync } = await import('node:child_process')
    const repository = join(import.meta.dirname, '..', '..')
    const argv = [...program, 'verify-resume', small.at('from-file'), '--steps', '1']
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { cwd: repository, encoding: 'utf8' })
    expect(`${status} ${stderr}`).toMatch(/^0 /)
    expect(`${stdout}${stderr}`).toMatch(/functions of the recipe again from|equal/i)
  })
})
