// Runs on a device that has what the GPUs of Macs have: no float64, and operators that it lacks and the CPU computes. The strict device
// without these stands for one, as no Mac was there.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadModel, loadTokenizer } from '../../src/checkpoint/index.ts'
import { generateMany } from '../../src/generation/index.ts'
import { align, finetune } from '../../src/runs/index.ts'
import { enableStrictDevice, fallbackCounts, limitStrictDevice, zeros } from '../../src/tensor/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { makeSmallAlignment, pairRows, ratingRows, type SmallAlignment } from '../alignment/small-alignment.ts'

enableStrictDevice()
const lacking = ['aten::cumsum', 'aten::tanh', 'aten::sigmoid', 'aten::log_softmax', 'aten::_log_softmax']

let small: SmallAlignment
beforeAll(async () => {
  small = await makeSmallAlignment()
  small.rows('pairs.jsonl', pairRows(24))
  small.rows('ratings.jsonl', ratingRows(24))
  small.rows(
    'prompts.jsonl',
    pairRows(24).map((row) => ({ prompt: (row as { prompt: string }).prompt, answer: 'ho' })),
  )
  small.rows(
    'classes.jsonl',
    Array.from({ length: 32 }, (_, i) => ({ text: i % 2 === 0 ? `hi ${i}` : `ho ho ${i}`, label: i % 2 ? 'b' : 'a' })),
  )
})
afterAll(() => small.dispose())
beforeEach(() => limitStrictDevice({ float64: false, lacking }))
afterEach(() => limitStrictDevice())

it('has no float64', () => {
  expect(() => zeros([2], { dtype: 'float64', device: 'strict' })).toThrow('no float64')
  return expect(loadModel(small.base, { device: 'strict', dtype: 'float64' })).rejects.toThrow(
    'Expected a `dtype` that strict computes in, got float64. Choose float32.',
  )
})

const common = (out: string, device: string) => ({
  base: small.base,
  out: small.at(out),
  device,
  batch: { sequences: 8 },
  budget: { steps: 4 },
  validationShare: 0.2,
  evaluate: { steps: 4 },
  untrainedBaseline: false,
  learningRate: 0.003,
})

/** Losses by step, and the warnings at the end. */
const lossesOf = async (
  run: (listener: { onEvent(event: TrainingEvent): void }) => Promise<{ warnings: string[] }>,
) => {
  const losses: number[] = []
  const { warnings } = await run({
    onEvent: (event) => {
      if (event.type === 'step') losses.push(event.loss)
    },
  })
  return { losses, warnings }
}

describe('the losses of a run on the CPU', () => {
  const rollout = {
    rewards: [{ type: 'regular-expression', pattern: 'o' }],
    rollout: { prompts: 2, answers: 4, maxNewTokens: 4 },
  }
  it.each([
    ['dpo', 'pairs.jsonl', {}],
    ['simpo', 'pairs.jsonl', {}],
    ['kto', 'ratings.jsonl', {}],
    ['grpo', 'prompts.jsonl', { ...rollout, batch: undefined }],
  ])('align by %s', async (objective, data, more) => {
    const run = (device: string) =>
      lossesOf((listener) => {
        const recipe = {
          ...common(`${objective}-${device}`, device),
          objective,
          data: small.at(data),
          answers: { samples: 0 },
        }
        return align({ ...recipe, ...more } as unknown as Parameters<typeof align>[0], listener)
      })
    const here = await run('cpu')
    const there = await run('strict')
    expect(there.losses.length).toBe(4)
    for (const [i, loss] of here.losses.entries()) expect(there.losses[i]).toBeCloseTo(loss, 4)
    expect(here.warnings.join()).not.toContain('The GPU lacks')
    expect(there.warnings.join()).toMatch(
      /The GPU lacks \d operators?: \d+ calls ran on the CPU in its place, of aten::/,
    )
  })

  it('fine-tune an adapter that begins with the largest singular values', async () => {
    const run = (device: string) =>
      lossesOf((listener) => {
        const recipe = {
          ...common(`pissa-${device}`, device),
          task: 'sequence-classification',
          data: small.at('classes.jsonl'),
        }
        const adapter = { variant: 'lora', adapter: { init: 'pissa', rank: 4 } }
        return finetune({ ...recipe, ...adapter } as unknown as Parameters<typeof finetune>[0], listener)
      })
    const here = await run('cpu')
    const there = await run('strict')
    for (const [i, loss] of here.losses.entries()) expect(there.losses[i]).toBeCloseTo(loss, 3)
  })
})

it('the calls that the CPU took are counted by operator, and are in the run card', async () => {
  const before = fallbackCounts()
  const out = small.at('counted')
  const recipe = {
    ...common('counted', 'strict'),
    objective: 'kto',
    data: small.at('ratings.jsonl'),
    answers: { samples: 0 },
  }
  await align(recipe as unknown as Parameters<typeof align>[0])
  const after = fallbackCounts()
  const name = 'aten::sigmoid.out'
  expect(after[name] - (before[name] ?? 0)).toBeGreaterThanOrEqual(4)
  expect(Object.keys(after).every((one) => lacking.includes(one.replace(/\.\w+$/, '')))).toBe(true)
  const card = JSON.parse(readFileSync(join(out, 'run-card.json'), 'utf8')) as { warnings: string[] }
  expect(card.warnings.join()).toContain('The GPU lacks')
})

it('texts that are sampled are those of the CPU', async () => {
  const texts = async (device: string) => {
    const [model, tokenizer] = [await loadModel(small.base, { device }), await loadTokenizer(small.base)]
    const options = { maxNewTokens: 12, sample: true, seed: 5, eosTokenIds: [] }
    return (await generateMany(model, tokenizer, ['hi hi 3:', 'ho', 'hi 4:'], options)).map(({ text }) => text)
  }
  expect(await texts('strict')).toEqual(await texts('cpu'))
})
