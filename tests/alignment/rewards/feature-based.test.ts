// Feature-based specialists as rewards of a run: a classical learner on the features of a frozen base scores answers as any other model.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRollout, rolloutFiles } from '../../../src/alignment/index.ts'
import { open } from '../../../src/inference/index.ts'
import { align, finetune } from '../../../src/runs/index.ts'
import { makeSmallAlignment, type SmallAlignment } from '../small-alignment.ts'

let small: SmallAlignment
let prompts: string

beforeAll(async () => {
  small = await makeSmallAlignment()
  prompts = small.rows(
    'prompts.jsonl',
    Array.from({ length: 16 }, (_, i) => ({ prompt: `hi ${i}:` })),
  )
  const words = ['ab', 'cd', 'ef', 'gh']
  const pairs = Array.from({ length: 80 }, (_, i) => ({
    prompt: `${words[i % 4]} ${i}:`,
    chosen: ` ${words[(i >> 2) % 4]} ho`,
    rejected: ` ${words[(i >> 2) % 4]} hi`,
  }))
  const texts = Array.from({ length: 80 }, (_, i) => ({
    text: `${words[i % 4]} ${i} ${i % 2 === 0 ? 'ho' : 'hi'}`,
    label: i % 2 === 0 ? 'good' : 'bad',
  }))
  const shared = { base: small.base, validationShare: 0.25, variant: 'feature-based', maxLength: 32 }
  const adapter = { learner: 'logistic-regression' }
  const judge = { ...shared, adapter, task: 'reward', data: small.rows('pairs.jsonl', pairs), out: small.at('judge') }
  await finetune(judge as never)
  const data = small.rows('texts.jsonl', texts)
  await finetune({ ...shared, adapter, task: 'sequence-classification', data, out: small.at('classes') } as never)
})
afterAll(() => small.dispose())

const rowsOf = async (name: string, reward: object) => {
  await align({
    objective: 'rloo',
    base: small.base,
    data: prompts,
    validationShare: 0.3,
    rewards: [reward],
    rollout: { prompts: 3, answers: 3, maxNewTokens: 5 },
    out: small.at(name),
    budget: { steps: 1 },
    answers: { validation: 2, samples: 0 },
    untrainedBaseline: false,
  } as unknown as Parameters<typeof align>[0])
  const [file] = await rolloutFiles(join(small.at(name), 'rollouts'))
  return readRollout(file)
}

describe('a feature-based specialist scores the answers of a run', () => {
  it('as a reward model: with the rewards that it gives when it is opened', async () => {
    const rows = await rowsOf('rewarded', { type: 'reward-model', model: small.at('judge') })
    const opened = await open(join(small.at('judge'), 'model'))
    const expected = await opened.reward(rows.map(({ prompt, completion }) => ({ prompt, completion })))
    for (const [i, { reward }] of rows.entries()) expect(reward).toBeCloseTo(expected[i].reward, 3)
    expect(new Set(rows.map(({ reward }) => reward)).size).toBeGreaterThan(1)
    opened.close()
  })

  it('as a classifier: with the log-odds of a class', async () => {
    const classes = { type: 'classifier', model: small.at('classes'), label: 'good', input: 'completion' }
    const rows = await rowsOf('classified', classes)
    const opened = await open(join(small.at('classes'), 'model'))
    const found = await opened.classify(rows.map(({ completion }) => completion))
    for (const [i, { reward }] of rows.entries()) expect((reward ?? 0) > 0).toBe(found[i].label === 'good')
    opened.close()
  })

  it('refuses a precision that its learner was not fitted in', async () => {
    const wrong = { type: 'reward-model', model: small.at('judge'), precision: 'bfloat16' }
    await expect(rowsOf('wrong', wrong)).rejects.toThrow(/no `precision` .*feature-based model.*got bfloat16/)
  })
})
