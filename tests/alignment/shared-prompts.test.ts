// Prompts that are computed once for several answers: the log-probabilities and gradients are those of separate rows, in fewer tokens.
import { describe, expect, it } from 'vitest'
import { applyAdapter } from '../../src/adapters/index.ts'
import {
  type CompletionTokens,
  collateCompletions,
  completionLogProbs,
  modelReference,
  onlinePreferenceMethod,
  policyMethod,
  type RolloutAnswer,
  raftMethod,
  scoreCompletions,
} from '../../src/alignment/index.ts'
import { sharesPrompts } from '../../src/objectives/index.ts'
import { clearGrads, Generator, randn, scope } from '../../src/tensor/index.ts'
import { placed, testDevice } from '../device.ts'
import { build, random } from '../objectives/small-models.ts'

const draw = random('shared prompts')
const ids = (length: number) => Array.from({ length }, () => 7 + draw.integer(110))
const answers = (prompt: readonly number[], ...lengths: number[]): CompletionTokens[] =>
  lengths.map((length) => ({
    ids: Uint32Array.from([...prompt, ...ids(length)]),
    starts: [0],
    promptTokens: prompt.length,
  }))
const system = ids(6)
const same = ids(5)
const examples = [
  // Two answers, then four to another prompt with the same system prompt, then a prompt alone.
  ...answers([...system, ...ids(9)], 4, 7),
  ...answers([...system, ...ids(12)], 3, 1, 8, 2),
  ...answers(ids(3), 5),
  // One answer begins as the other, and one is the whole beginning of the other.
  ...answers(ids(8), 2).flatMap((one) => [one, { ...one, ids: Uint32Array.from([...one.ids, ...ids(3)]) }]),
  // All tokens of the first count, those of the prompt too.
  ...answers(same, 4, 4).map((one, i) => ({ ...one, promptTokens: i === 0 ? 1 : same.length })),
]

describe.each([
  ['llama', {}],
  ['gpt2', {}],
  ['qwen3', {}],
  ['mistral', {}],
] as const)('on a small %s', (architecture, more) => {
  const model = build(architecture, 'causal-lm', { std: 0.2, ...more })
  const run = (shared: boolean, recompute = 0) =>
    scope(() => {
      clearGrads([...model.parameters().values()])
      const batch = collateCompletions(examples, { padded: false, shared, device: testDevice })
      batch.inputs.recompute = recompute
      const { logProbs, counts } = completionLogProbs(model, batch)
      logProbs
        .mul(placed(randn([logProbs.size], { generator: new Generator(1) })))
        .sum()
        .backward()
      const gradients = [...model.parameters()].map(([path, { grad }]): [string, Float32Array] => [
        path,
        grad?.toFloat32Array() ?? new Float32Array(0),
      ])
      return { tokens: batch.tokens, logProbs: logProbs.toFloat32Array(), counts, gradients: new Map(gradients) }
    })
  const apart = (a: Float32Array, b: Float32Array) => a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0)

  it('gives the log-probabilities and gradients of separate rows, in fewer tokens', () => {
    const [separate, shared] = [run(false), run(true)]
    const inRows = examples.reduce((sum, one) => sum + one.ids.length, 0)
    expect(separate.tokens).toBe(inRows)
    // 15 tokens for the second answer, 18 for each of three more, 9 and 5 for the last two.
    expect(shared.tokens).toBe(inRows - 15 - 3 * 18 - 9 - 5)
    expect(shared.counts).toEqual(separate.counts)
    expect(apart(shared.logProbs, separate.logProbs)).toBeLessThan(1e-5)
    const most = Math.max(...[...separate.gradients.values()].flatMap((values) => [...values].map(Math.abs)))
    for (const [path, gradient] of separate.gradients)
      expect(apart(shared.gradients.get(path) as Float32Array, gradient) / most, path).toBeLessThan(1e-5)
  })

  it('gives the same bits with layers that are recomputed in the backward pass', () => {
    expect(run(true, 2)).toEqual(run(true))
  })

  it('scores the same in any micro-batches', async () => {
    const whole = await scoreCompletions(model, examples, { microTokens: 1000, padded: true })
    for (const microTokens of [1, 30, 1000]) {
      const scores = await scoreCompletions(model, examples, { microTokens, padded: false, shared: true })
      scores.forEach(({ logProbs }, i) => {
        expect(apart(logProbs, whole[i].logProbs)).toBeLessThan(1e-5)
      })
    }
  })
})

describe('the reference of a rollout', () => {
  const model = build('llama', 'causal-lm', { std: 0.2 })
  const [first, second] = [ids(9), ids(11)]
  const group = [first, first, first, second, second].map((prompt, i) => ({
    prompt: { record: { id: `${i}`, file: 'f', line: i, prompt: '', fields: {} }, ids: prompt, endTokens: [] },
    ids: Uint32Array.from(ids(3 + i)),
  }))
  const common = { advantages: { type: 'rloo' }, rewardWeights: [1], shaping: {}, oldLogProbs: 'none' } as const

  it.each([
    ['policyMethod', (parts: object) => policyMethod({ policy: model, ...common, ...parts } as never)],
    ['raftMethod', (parts: object) => raftMethod({ keep: 1 }, parts as never)],
    ['onlinePreferenceMethod', (parts: object) => onlinePreferenceMethod(parts as never)],
  ])('%s computes a prompt once for its answers', async (_, create) => {
    const reference = modelReference(model)
    const asked: (boolean | undefined)[] = []
    const watched = {
      ...reference,
      logProbs: (...given: Parameters<typeof reference.logProbs>) => {
        asked.push(given[1].shared)
        return reference.logProbs(...given)
      },
    }
    const answers = group.map(({ prompt, ids: own }) => ({ prompt, answer: { ids: own } as RolloutAnswer }))
    const context = { step: 0, microTokens: 1000, padded: false }
    await create({ reference: watched, temperature: 0.7 }).complete?.(answers, context)
    expect(asked).toEqual([true])
    const apart = group.map(({ prompt, ids: own }) => ({
      ids: Uint32Array.from([...prompt.ids, ...own]),
      starts: [0],
      promptTokens: prompt.ids.length,
    }))
    const expected = await scoreCompletions(model, apart, { microTokens: 1, padded: true, temperature: 0.7 })
    answers.forEach(({ answer: { reference: found } }, i) => {
      expect(found?.length).toBe(expected[i].logProbs.length)
      found?.forEach((value, t) => {
        expect(value).toBeCloseTo(expected[i].logProbs[t], 4)
      })
    })
  })
})

it('is not used with virtual tokens before each document, or by models that cannot', () => {
  const model = build('llama', 'causal-lm')
  expect(sharesPrompts(model)).toBe(true)
  const prefix = applyAdapter(model, { type: 'prefix-tuning' })
  expect(sharesPrompts(model)).toBe(false)
  prefix.enable(false)
  expect(sharesPrompts(model)).toBe(true)
  expect(sharesPrompts(build('bert', 'masked-lm'))).toBe(false)
})
