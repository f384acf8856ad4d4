// The silent bugs of other programs (research/alignment.md, a.8), each with its test. Those that are tested beside the code that they
// concern are named in `elsewhere`; the others are here, on a small model that samples and trains.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { applyAdapter } from '../../src/adapters/index.ts'
import {
  answerSampler,
  completionOf,
  isFinished,
  KlController,
  onlinePreferenceMethod,
  policyMethod,
  type RolloutAnswer,
  type RolloutPrompt,
  readRollout,
  rewardShapingSchema,
  rolloutFiles,
  type SampledAnswer,
  scoreCompletions,
} from '../../src/alignment/index.ts'
import { advantageSchema } from '../../src/alignment/reinforcement/advantages/index.ts'
import { loadModel } from '../../src/checkpoint/index.ts'
import type { Model } from '../../src/models/index.ts'
import { align } from '../../src/runs/index.ts'
import { Generator, noGrad } from '../../src/tensor/index.ts'
import { chatTokenizer } from '../tasks/chat-tokenizer.ts'
import { makeSmallAlignment, type SmallAlignment } from './small-alignment.ts'

/** Bugs with a test beside the code: the file, and the beginning of the test's name. */
const elsewhere: readonly [bug: string, file: string, test: string][] = [
  [
    'token loss scaled by the steps of a rollout',
    'tests/alignment/reinforcement/criterion.test.ts',
    'the divisor counts the tokens of this step',
  ],
  [
    'denominator counts masked tokens',
    'tests/alignment/reinforcement/criterion.test.ts',
    'a masked answer changes neither the sum nor the divisor',
  ],
  [
    'fused kernel ignores importance weights',
    'tests/alignment/reinforcement/criterion.test.ts',
    'fused log-probabilities and entropies have the gradients of plain ones',
  ],
  [
    'mean of samples in place of tokens',
    'tests/alignment/reinforcement/criterion.test.ts',
    'do not depend on how the batch is split, padded or packed',
  ],
  ['log-probabilities of the engine drift', 'src/alignment/on-policy.test.ts', 'without them, both agree to 1e-4'],
  ['double start token', 'tests/tasks/preferences/completion-encoder.test.ts', 'do not double start and end tokens'],
  ['double end token', 'tests/tasks/preferences/completion-encoder.test.ts', 'do not double start and end tokens'],
  [
    'prompt and completion tokenised together',
    'tests/tasks/preferences/completion-encoder.test.ts',
    'keep the boundary',
  ],
  [
    'truncation removes the whole completion',
    'tests/tasks/preferences/completion-encoder.test.ts',
    'is dropped and counted where no token of the completion',
  ],
  [
    'KTO depends on the micro-batch',
    'tests/alignment/preference-equalities.test.ts',
    'has one loss, gradient and statistics, however the batch',
  ],
  [
    'stale prefix cache',
    'src/generation/scheduler.test.ts',
    'uses the beginnings of earlier texts again, of the same weights only',
  ],
  ['resume loses sampler, critic, coefficient and RNG', 'tests/alignment/align-rewards.test.ts', 'resumes to the bit'],
  ['resume loses running means', 'tests/alignment/preference-start.test.ts', 'a resumed run'],
]

it.each(elsewhere)('%s: tested in %s', (_, file, test) => {
  const text = readFileSync(join(import.meta.dirname, '..', '..', file), 'utf8')
  expect(text).toContain(test)
})

let small: SmallAlignment
let model: Model
const tokenizer = chatTokenizer()
const end = 1
const start = 0
const how = { microTokens: 256, padded: true }

beforeAll(async () => {
  small = await makeSmallAlignment()
  model = await loadModel(small.base)
})
afterAll(() => small.dispose())

const promptOf = (ids: readonly number[]): RolloutPrompt => ({
  record: { id: 'p', file: 'f', line: 1, prompt: 'p', fields: {} },
  ids,
  endTokens: [end],
})

const sampler = (maxNewTokens: number) => answerSampler(model, { maxNewTokens, temperature: 1, concurrency: 8 })

const asAnswers = (sampled: readonly SampledAnswer[], reward = 1): RolloutAnswer[] =>
  sampled.map((answer, member) => ({ prompt: 0, group: 0, member, ...answer, rewards: [reward], reward }))

/** Largest difference between what was recorded while sampling and the training forward pass now. */
const mismatch = async (prompt: RolloutPrompt, answers: readonly SampledAnswer[]): Promise<number> => {
  const scores = await scoreCompletions(
    model,
    answers.map((answer) => completionOf(prompt, answer)),
    how,
  )
  return Math.max(
    ...answers.flatMap(({ logProbs }, i) => [...logProbs].map((value, t) => Math.abs(value - scores[i].logProbs[t]))),
  )
}

describe('the engine samples from the weights that train', () => {
  it('after an adapter changed, with the same prompts: no cache of the weights before is used', async () => {
    // vLLM #42125, TRL #6344: the prefix cache outlived the adapter.
    const applied = applyAdapter(model, { type: 'lora', rank: 4 }, { name: 'changing', seed: 2 })
    const sample = sampler(6)
    const prompt = promptOf(Array.from({ length: 40 }, (_, i) => 10 + (i % 50)))
    const requests = [{ prompt, seed: 5 }]
    const texts: string[] = []
    for (let update = 0; update < 3; update++) {
      const [answers] = await sample(requests, 4, {})
      expect(await mismatch(prompt, answers), `update ${update}`).toBeLessThan(1e-4)
      texts.push(answers.map(({ ids }) => ids.join()).join('|'))
      const generator = new Generator(update)
      noGrad(() => {
        for (const tensor of applied.trainable.values()) tensor.detach().normal_(0, 0.3, { generator })
      })
    }
    expect(new Set(texts).size).toBe(3)
    applied.remove()
  })

  it('also in a run without learning: the ratio stays 1 and the divergence 0 in every rollout', async () => {
    // open-instruct #1473: with a learning rate of 0 the ratios drifted from 1.
    const data = small.rows(
      'still.jsonl',
      Array.from({ length: 12 }, (_, i) => ({ prompt: `hi ${i}` })),
    )
    const ratios: number[] = []
    const divergences: number[] = []
    await align(
      {
        objective: 'grpo',
        base: small.base,
        data,
        validationShare: 0.3,
        rewards: ['length:cost=0.01'],
        rollout: { prompts: 4, answers: 4, maxNewTokens: 5, epochs: 2 },
        out: small.at('still'),
        budget: { steps: 4 },
        learningRate: 1e-30,
        answers: { validation: 2, samples: 0 },
        untrainedBaseline: false,
      } as unknown as Parameters<typeof align>[0],
      {
        onEvent(event) {
          if (event.type === 'step') ratios.push(event.metrics?.ratioDeviation ?? Number.NaN)
          if (event.type === 'rollout') divergences.push(event.metrics.kl)
        },
      },
    )
    expect(ratios).toHaveLength(4)
    expect(Math.max(...ratios.map(Math.abs))).toBeLessThan(1e-4)
    expect(divergences).toHaveLength(2)
    expect(Math.max(...divergences.map(Math.abs))).toBeLessThan(1e-4)
  })
})

describe('special tokens', () => {
  it('begin a sampled text once, and end it once', async () => {
    // TRL #1885, axolotl #1616: two start tokens; TRL #4481: two end tokens.
    const data = small.rows('special.jsonl', [
      ...Array.from({ length: 6 }, (_, i) => ({ prompt: `<s>hi ${i}` })),
      ...Array.from({ length: 6 }, (_, i) => ({ prompt: `<s><s>ho ${i}` })),
    ])
    await align({
      objective: 'rloo',
      base: small.base,
      data,
      validationShare: 0.3,
      rewards: ['finished'],
      rollout: { prompts: 6, answers: 8, maxNewTokens: 30 },
      out: small.at('special'),
      budget: { steps: 1 },
      answers: { validation: 2, samples: 0 },
      untrainedBaseline: false,
    } as unknown as Parameters<typeof align>[0])
    const [file] = await rolloutFiles(join(small.at('special'), 'rollouts'))
    const rows = await readRollout(file)
    expect(rows.some(({ finishReason }) => finishReason === 'eos')).toBe(true)
    for (const { promptIds, completionIds, finishReason, mask, rewards } of rows) {
      expect(promptIds.filter((id) => id === start).length).toBe(1)
      expect(completionIds.filter((id) => id === end).length).toBe(finishReason === 'eos' ? 1 : 0)
      if (finishReason === 'eos') expect(completionIds.at(-1)).toBe(end)
      // The end token is inside the mask, so that the model learns to end.
      expect(mask.at(-1)).toBe(1)
      expect(rewards.finished).toBe(finishReason === 'eos' ? 1 : 0)
    }
  })

  it('are not added again where pairs are made of sampled answers', () => {
    const answer = (ids: number[], reward: number): RolloutAnswer => ({
      ...{ prompt: 0, group: 0, member: 0, ids: Uint32Array.from(ids), mask: new Uint8Array(ids.length).fill(1) },
      ...{ logProbs: new Float32Array(ids.length), finishReason: 'eos', rewards: [reward], reward },
    })
    const { examples } = onlinePreferenceMethod({ temperature: 1 }).examples([
      { prompt: promptOf([start, 9]), group: [answer([20, end], 1), answer([30, 31, end], 0)] },
    ])
    expect([...examples[0].chosen.ids]).toEqual([start, 9, 20, end])
    expect([...examples[0].rejected.ids]).toEqual([start, 9, 30, 31, end])
  })

  it('of the prompt do not end the answer: penalties of answers without an end apply', async () => {
    // TRL #6802, #6805: the end token was looked for in prompt and answer together, and chats have it in the prompt.
    const prompt = promptOf([start, 20, end, 21, end, 22])
    const sample = sampler(2)
    const [sampled] = await sample([{ prompt, seed: 3 }], 6, {})
    const truncated = sampled.filter((answer) => !isFinished(answer))
    expect(truncated.length).toBeGreaterThan(1)
    for (const { ids } of truncated) expect([...ids]).not.toContain(end)
    const method = (shaping: object) =>
      policyMethod({
        policy: model,
        advantages: advantageSchema.parse({ type: 'reinforce', baseline: 'none' }),
        rewardWeights: [1],
        shaping: rewardShapingSchema.parse(shaping),
        temperature: 1,
        oldLogProbs: 'sampling',
        rewardKl: { controller: new KlController(0, undefined), estimator: 'k1' },
      })
    const group = { prompt, group: asAnswers(truncated) }
    const penalised = method({ missingEndPenalty: 3 }).examples([group])
    expect(penalised.metrics.score).toBe(-2)
    for (const { advantages } of penalised.examples) expect(advantages.at(-1)).toBe(-2)
    expect(method({}).examples([group]).metrics.score).toBe(1)
    // Masked truncated answers leave nothing to learn from, although an end token stands before them.
    const masked = method({ maskTruncated: true }).examples([group])
    expect(masked.examples).toHaveLength(0)
    expect(masked.metrics.excluded).toBe(1)
  })
})

describe('tokens', () => {
  it('are trained on as they were sampled, where their text would be encoded to others', () => {
    // "h" and "o" are two tokens; encoded again they would be one.
    const apart = ['h', 'o'].map((one) => tokenizer.encodeIds(one)[0])
    expect([...tokenizer.encodeIds(tokenizer.decode(apart))]).not.toEqual(apart)
    const answer = { ids: Uint32Array.from(apart) }
    expect([...completionOf(promptOf([start, 9]), answer).ids]).toEqual([start, 9, ...apart])
  })

  it('of prompts that leave no room for an answer are counted, truncated or dropped, and never silently', async () => {
    const long = { prompt: 'hi '.repeat(150) }
    const data = small.rows('long.jsonl', [long, ...Array.from({ length: 29 }, (_, i) => ({ prompt: `hi ${i}` }))])
    const notesOf = async (name: string, more: object) => {
      const notes: string[] = []
      await align(
        {
          objective: 'rloo',
          base: small.base,
          data,
          validationShare: 0.3,
          rewards: ['finished'],
          rollout: { prompts: 2, answers: 2, maxNewTokens: 4 },
          out: small.at(name),
          budget: { steps: 1 },
          answers: { validation: 2, samples: 0 },
          untrainedBaseline: false,
          ...more,
        } as unknown as Parameters<typeof align>[0],
        { onNote: (note) => notes.push(note) },
      )
      return notes.join('\n')
    }
    expect(await notesOf('cut', { maxPromptLength: 60 })).toMatch(/Truncated 1 prompt to their last 60 tokens/)
    expect(await notesOf('dropped', { maxPromptLength: 60, tooLong: 'drop' })).toMatch(/1 .*too-long|too-long.*1/)
    await expect(notesOf('refused', { maxPromptLength: 60, tooLong: 'error' })).rejects.toThrow(/long\.jsonl:1/)
    await expect(notesOf('most', { maxPromptLength: 2, tooLong: 'drop' })).rejects.toThrow(/too-long/)
  })
})
