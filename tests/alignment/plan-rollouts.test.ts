// Plans of runs that write their own answers: their memory beside that of the run, what a plan must not call or write, and what it refuses.
import { existsSync, readdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { saveModel } from '../../src/checkpoint/index.ts'
import { buildModel, models } from '../../src/models/index.ts'
import { align, calibratePlans, planRun } from '../../src/runs/index.ts'
import { Generator } from '../../src/tensor/index.ts'
import { readRunCard } from '../../src/tracking/index.ts'
import { away, skippedAway } from '../device.ts'
import { makeSmallAlignment, pairRows, type SmallAlignment } from './small-alignment.ts'

let files: SmallAlignment
let prompts: string
let calls = 0

/** Counts its calls; longer answers are better. */
const counted = (samples: readonly { completionIds: ArrayLike<number> }[]): number[] => {
  calls++
  return samples.map(({ completionIds }) => completionIds.length)
}

beforeAll(async () => {
  files = await makeSmallAlignment()
  prompts = files.rows(
    'prompts.jsonl',
    (pairRows(24) as { prompt: string }[]).map(({ prompt }) => ({ prompt })),
  )
})
afterAll(() => files.dispose())

const recipe = (name: string, objective: string, more: object = {}) => ({
  command: 'align',
  objective,
  base: files.base,
  data: prompts,
  out: files.at(name),
  rewards: [counted],
  rollout: { prompts: 4, maxNewTokens: 40 },
  budget: { steps: 4 },
  ...more,
})

const ofTheCpu = skippedAway("a plan is made with the CPU's memory")

describe('a plan of a run that writes its own answers', () => {
  it.skipIf(away).each([
    ['grpo', {}],
    ['grpo', { variant: 'lora', rollout: { prompts: 4, answers: 4, maxNewTokens: 40, epochs: 2 } }],
    ['rloo', {}],
    ['ppo', {}],
  ])(`%s %j: has the memory of the run, before its first step and by itself${ofTheCpu}`, async (objective, more) => {
    const name = `memory-${objective}-${'variant' in more ? 'lora' : 'full'}`
    await align(recipe(name, objective, more) as unknown as Parameters<typeof align>[0])
    const card = await readRunCard(files.at(name))
    const { prediction, measured } = card!
    expect(prediction!.writesAnswers).toBe(true)
    expect(prediction!.seconds).toBeUndefined()
    // Answers end before they are as long as they may be, and so hold less.
    expect(measured!.peakBytes / prediction!.peakBytes).toBeGreaterThan(0.7)
    expect(measured!.peakBytes / prediction!.peakBytes).toBeLessThan(1.03)
    const { rows, notes } = await planRun(recipe('planned', objective, more), { story: false })
    expect(rows[0].memory.peakBytes).toBeGreaterThan(0.97 * prediction!.peakBytes)
    expect(notes.join('\n')).toMatch(/most tokens that it may have.*Rollouts take \d+ % of the FLOPs/)
  })

  it('calls no reward function, and leaves no files', async () => {
    calls = 0
    await planRun(recipe('untouched', 'grpo'), { story: false })
    expect(calls).toBe(0)
    expect(existsSync(files.at('untouched'))).toBe(false)
    const { speed, rows } = await planRun(recipe('untouched', 'grpo'), { story: false, measure: true })
    expect(calls).toBeGreaterThan(0)
    expect(speed?.source).toMatch(/a rollout and its \d+ steps? on this machine|a rollout and its step on this machine/)
    expect(rows[0].costs!.seconds).toBeGreaterThan(0)
    const left = existsSync(files.at('untouched')) ? readdirSync(files.at('untouched')) : []
    expect(left).toEqual([])
  })

  it('counts the operations of all answers', async () => {
    const flopsOf = async (answers: number, maxNewTokens: number) => {
      const rollout = { prompts: 4, answers, maxNewTokens, measureKl: false }
      const { rows } = await planRun(recipe('counted', 'grpo', { rollout }), { story: false })
      return rows[0].rollouts!.flops
    }
    const [one, twice, longer] = [await flopsOf(4, 20), await flopsOf(8, 20), await flopsOf(4, 40)]
    // Prompts are read once for all their answers.
    expect(twice / one).toBeGreaterThan(1.5)
    expect(twice / one).toBeLessThan(2)
    expect(longer / one).toBeGreaterThan(1.5)
    expect(longer / one).toBeLessThan(2.5)
  })

  it('counts reward models', async () => {
    const sizes = { hiddenSize: 64, numLayers: 4, numHeads: 4, intermediateSize: 256, maxPositions: 128 }
    const config = models.gpt2.adjust(models.gpt2.presets.test, { ...sizes, vocabSize: 512 })
    const judge = buildModel(models.gpt2, config, 'sequence-classification', { labels: ['bad', 'good'] })
    await saveModel(judge.initialize({ std: 0.1, generator: new Generator(1) }).eval(), files.at('judge'), {
      tokenizer: files.at('tokenizer'),
    })
    const planWith = async (rewards: unknown[]) =>
      (await planRun(recipe('judged', 'grpo', { rewards }), { story: false })).rows[0]
    const [plain, judged] = [
      await planWith([counted]),
      await planWith([{ type: 'classifier', model: files.at('judge'), label: 'good' }]),
    ]
    expect(judged.rollouts!.flops).toBeGreaterThan(1.2 * plain.rollouts!.flops)
    expect(judged.memory.peakBytes).toBeGreaterThan(plain.memory.peakBytes + 4 * judge.parameterCount * 0.99)
  })

  it('refuses an environment, and a calibration by such a run', async () => {
    const environment = { name: 'echo', step: () => ({ messages: [], reward: 1, done: true }) }
    await expect(planRun(recipe('turns', 'grpo', { environment }), { story: false })).rejects.toThrow(
      /Expected a run to plan whose answers have one turn.*rollout\.maxNewTokens/,
    )
    await align(recipe('answered', 'rloo', { budget: { steps: 1 } }) as unknown as Parameters<typeof align>[0])
    // A run on another device is refused for that.
    const why = away ? /runs on the CPU/ : /which wrote answers too/
    await expect(calibratePlans([files.at('answered')])).rejects.toThrow(why)
  })
})
