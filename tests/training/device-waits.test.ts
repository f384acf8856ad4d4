// How often a run waits for its device, counted on the strict device: reads of values and sizes, and copies to the host, in a step of
// fine-tuning and alignment and for a generated token. And what a run says when a user's own code mixes two devices.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModel, loadTokenizer } from '../../src/checkpoint/index.ts'
import { generate, generateMany } from '../../src/generation/index.ts'
import { align, finetune } from '../../src/runs/index.ts'
import { enableStrictDevice, ones, strictDeviceCounts, type Tensor } from '../../src/tensor/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { makeSmallAlignment, pairRows, type SmallAlignment } from '../alignment/small-alignment.ts'

enableStrictDevice()
const device = 'strict'

let small: SmallAlignment
beforeAll(async () => {
  small = await makeSmallAlignment()
  small.rows('pairs.jsonl', pairRows(48))
  small.rows(
    'prompts.jsonl',
    pairRows(48).map((row) => ({ prompt: (row as { prompt: string }).prompt, answer: 'ho' })),
  )
  small.rows(
    'classes.jsonl',
    Array.from({ length: 64 }, (_, i) => ({
      text: i % 2 === 0 ? `hi ${i}` : `ho ho ${i}`,
      label: i % 2 === 0 ? 'a' : 'b',
    })),
  )
  small.rows(
    'chats.jsonl',
    Array.from({ length: 64 }, (_, i) => ({
      messages: [
        { role: 'user', content: `hi ${i}` },
        { role: 'assistant', content: i % 2 === 0 ? 'ho' : 'ho ho' },
      ],
    })),
  )
})
afterAll(() => small.dispose())

const waits = (): number => strictDeviceCounts()?.waits as number

/** Waits of each step that follows another one without an evaluation, a checkpoint or a rollout between them. */
const perStep = async (run: (onEvent: (event: TrainingEvent) => void) => Promise<unknown>): Promise<number[]> => {
  const counts: number[] = []
  let before: number | undefined
  await run((event) => {
    const now = waits()
    if (event.type === 'step' && before !== undefined) counts.push(now - before)
    before = event.type === 'step' ? now : undefined
  })
  return counts
}

const common = (name: string) => ({
  base: small.base,
  out: small.at(name),
  device,
  batch: { sequences: 8 },
  budget: { steps: 6 },
  validationShare: 0.2,
  evaluate: { steps: 6 },
  untrainedBaseline: false,
  learningRate: 0.003,
})

describe('waits in a step of fine-tuning', () => {
  it.each([
    ['sequence-classification', 'classes.jsonl', 'full', {}, 4],
    ['sequence-classification', 'classes.jsonl', 'lora', {}, 4],
    ['instructions', 'chats.jsonl', 'full', {}, 4],
    ['instructions', 'chats.jsonl', 'lora', { frozenWeights: 'nf4' }, 4],
    // Two for each micro-batch, whose loss and number of correct tokens are read; eight sequences are at most eight of them.
    ['instructions', 'chats.jsonl', 'full', { batch: { sequences: 8, microTokens: 40 } }, 2 * 8 + 2],
  ])('%s of %s, %s with %j', async (task, data, variant, more, most) => {
    const name = `${task}-${variant}-${Object.keys(more).join('-')}`
    const recipe = { ...common(name), task, data: small.at(data), variant, ...more }
    const counts = await perStep((onEvent) =>
      finetune(recipe as unknown as Parameters<typeof finetune>[0], { onEvent }),
    )
    expect(counts.length).toBeGreaterThanOrEqual(4)
    expect(Math.max(...counts)).toBeLessThanOrEqual(most)
  })
})

describe('waits in a step of alignment', () => {
  it.each([
    ['dpo', {}],
    ['dpo', { variant: 'lora' }],
  ])('%s with %j', async (objective, more) => {
    const name = `${objective}-${Object.keys(more).join('-')}`
    const recipe = { ...common(name), objective, data: small.at('pairs.jsonl'), answers: { samples: 0 }, ...more }
    const counts = await perStep((onEvent) => align(recipe as unknown as Parameters<typeof align>[0], { onEvent }))
    expect(counts.length).toBeGreaterThanOrEqual(4)
    expect(Math.max(...counts)).toBeLessThanOrEqual(8)
  })
})

it('waits of a rollout: two for each token that is written, two for each answer, and some for each step', async () => {
  const waitsOf = async (name: string, rollout: object) => {
    const counts: Record<'rollout' | 'step', number[]> = { rollout: [], step: [] }
    let before = waits()
    const recipe = {
      ...{ ...common(name), objective: 'grpo', data: small.at('prompts.jsonl'), answers: { samples: 0 } },
      ...{ rewards: [{ type: 'regular-expression', pattern: 'o' }], rollout: { prompts: 4, answers: 4, ...rollout } },
      batch: undefined,
    }
    await align(recipe as unknown as Parameters<typeof align>[0], {
      onEvent: ({ type }) => {
        if (type === 'rollout' || type === 'step') counts[type].push(waits() - before)
        before = waits()
      },
    })
    // Before the first rollout, the run measures its base.
    return { rollout: Math.max(...counts.rollout.slice(1)), step: Math.max(...counts.step) }
  }
  const short = await waitsOf('grpo-short', { maxNewTokens: 4 })
  const long = await waitsOf('grpo-long', { maxNewTokens: 12 })
  const many = await waitsOf('grpo-many', { maxNewTokens: 4, answers: 8 })
  for (const { step } of [short, long, many]) expect(step).toBeLessThanOrEqual(16)
  expect(short.rollout).toBeLessThanOrEqual(2 * 4 + 2 * 16 + 2)
  expect(long.rollout - short.rollout).toBeLessThanOrEqual(2 * 8)
  expect(many.rollout - short.rollout).toBeLessThanOrEqual(2 * 16)
})

describe('waits for a token of generation', () => {
  const prompts = ['hi hi 3:', 'hi 4:', 'ho', 'hi hi hi 5:']
  const waitsOf = async (options: object, write: typeof generateMany, count = 4) => {
    const [model, tokenizer] = [await loadModel(small.base, { device }), await loadTokenizer(small.base)]
    const asked = Array.from({ length: count }, (_, i) => prompts[i % 4])
    const of = async (maxNewTokens: number) => {
      const before = waits()
      await write(model, tokenizer, asked, { maxNewTokens, eosTokenIds: [], ...options })
      return waits() - before
    }
    await of(2)
    const [few, many] = [await of(4), await of(12)]
    return (many - few) / 8
  }
  it.each([
    ['greedily', {}],
    ['by sampling', { sample: true, temperature: 0.8, seed: 5 }],
    ['with filters', { sample: true, topK: 5, topP: 0.9, repetitionPenalty: 1.2, seed: 5 }],
    ['with beams', { numBeams: 3 }],
  ])('%s', async (_, options) => {
    const counts = [await waitsOf(options, generate), 'numBeams' in options ? 0 : await waitsOf(options, generateMany)]
    expect(Math.max(...counts)).toBeLessThanOrEqual(2)
  })
})

describe('two devices in the code of a user', () => {
  const trained = (name: string, more: object) =>
    finetune({
      ...{ ...common(name), task: 'sequence-classification', data: small.at('classes.jsonl'), variant: 'full' },
      ...more,
    } as unknown as Parameters<typeof finetune>[0])

  it('are named with the loss of the recipe, the operator and the argument', async () => {
    type Terms = { terms: { sum: Tensor; weight: number; scale: number }[]; metrics: object }
    const loss = (change: (sum: Tensor) => Tensor) =>
      function weighted(_model: unknown, _batch: unknown, standard: () => Terms) {
        const { terms, metrics } = standard()
        return { terms: terms.map((term) => ({ ...term, sum: change(term.sum) })), metrics }
      }
    await expect(trained('mixed', { loss: loss((sum) => sum.mul(ones([1])).sum()) })).rejects.toThrow(
      /the loss `weighted` threw .*mul.*two devices, strict:0 and cpu/,
    )
    const matrix = (sum: Tensor) =>
      sum
        .view([1, 1])
        .matmul(ones([1, 1]))
        .sum()
    await expect(trained('mixed-product', { loss: loss(matrix) })).rejects.toThrow(
      /the loss `weighted` threw .*Expected all tensors of aten::mm on strict:0, got `mat2` of shape \[1, 1\] on cpu\. Copy it/,
    )
    // With the device of the loss, and with a scalar, it trains.
    const placed = loss((sum) => sum.mul(ones([1], { device: sum.device })).sum())
    expect(await trained('placed', { loss: placed })).toMatchObject({ reason: 'finished' })
  })
})
