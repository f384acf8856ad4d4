// Log-probabilities of completions against log-softmax over all logits, and their equality over the forms of a batch.
import { describe, expect, it } from 'vitest'
import {
  type CompletionTokens,
  collateCompletions,
  completionLength,
  completionLogProbs,
  scoreCompletions,
  sumByCompletion,
} from '../../src/alignment/index.ts'
import { scope, Tensor, tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { build, random } from '../objectives/small-models.ts'

const draw = random('completions')
const completion = (promptTokens: number, length: number): CompletionTokens => ({
  ids: Uint32Array.from({ length: promptTokens + length }, () => 7 + draw.integer(110)),
  starts: [0],
  promptTokens,
})
const examples = [completion(5, 3), completion(1, 9), completion(12, 1), completion(0, 4), completion(6, 6)]

const temperature = 0.7

/** As PyTorch's documentation would write it: logits of the whole sequence, log-softmax, the next token. */
const plain = (model: ReturnType<typeof build>, { ids, promptTokens }: CompletionTokens) =>
  scope(() => {
    const inputIds = tensor([[...ids]], { dtype: 'int64', device: testDevice })
    const logProbs = model.forward({ inputIds }).logits.div(temperature).logSoftmax(-1).toFloat32Array()
    const size = logProbs.length / ids.length
    const from = Math.max(1, promptTokens)
    const at = (t: number) => logProbs.subarray((t - 1) * size, t * size)
    const rows = Array.from({ length: ids.length - from }, (_, i) => at(from + i))
    return {
      logProbs: rows.map((row, i) => row[ids[from + i]]),
      entropy: rows.map((row) => -row.reduce((sum, lp) => sum + lp * Math.exp(lp), 0)),
      logPower: rows.map((row) => Math.log(row.reduce((sum, lp) => sum + Math.exp(2 * lp), 0))),
    }
  })

const forms = [
  ['packed', { padded: false }],
  ['padded on the right', { padded: true }],
  ['padded on the left', { padded: true, side: 'left' }],
  ['padded to a multiple of 16', { padded: true, multipleOf: 16 }],
] as const

describe.each(['llama', 'gpt2'] as const)('log-probabilities of a small %s', (architecture) => {
  const model = build(architecture, 'causal-lm')
  const expected = examples.map((example) => plain(model, example))

  it.each(forms)('are those of log-softmax, %s', (_, how) => {
    scope(() => {
      const batch = collateCompletions(examples, { ...how, device: testDevice })
      const got = completionLogProbs(model, batch, { temperature })
      expect(got.counts).toEqual([3, 9, 1, 3, 6])
      expect(got.counts).toEqual(examples.map(completionLength))
      for (const name of ['logProbs', 'entropy', 'logPower'] as const) {
        const values = got[name].toFloat32Array()
        const wanted = expected.flatMap((one) => one[name])
        expect(values.length).toBe(wanted.length)
        for (const [i, value] of wanted.entries())
          expect(Math.abs(values[i] - value), `${name} ${i}`).toBeLessThan(2e-5)
      }
    })
  })

  it('are the same by completion, in any micro-batches', async () => {
    for (const [microTokens, padded] of [
      [1, false],
      [20, false],
      [20, true],
      [1000, true],
    ] as const) {
      const scores = await scoreCompletions(model, examples, { microTokens, padded, temperature })
      for (const [i, { logProbs, entropy }] of scores.entries())
        for (const [t, value] of expected[i].logProbs.entries()) {
          expect(Math.abs(logProbs[t] - value)).toBeLessThan(2e-5)
          expect(Math.abs(entropy[t] - expected[i].entropy[t])).toBeLessThan(2e-5)
        }
    }
  })
})

it('scores without dropout, and leaves the model in its mode', async () => {
  const model = build('gpt2', 'causal-lm', { embeddingDropout: 0.5, hiddenDropout: 0.5, attentionDropout: 0.5 })
  model.train()
  const [first] = await scoreCompletions(model, examples, { microTokens: 100, padded: false })
  const [second] = await scoreCompletions(model, examples, { microTokens: 100, padded: false })
  expect(second).toEqual(first)
  expect(model.training).toBe(true)
})

it('divides whole micro-batches, each of which has the bits that it has among all', async () => {
  const model = build('gpt2', 'causal-lm')
  const options = { microTokens: 20, padded: false }
  const sizes: number[] = []
  const scores = await scoreCompletions(model, examples, {
    ...options,
    wholeBatches: true,
    // Two processes: the items of the second one are worked on first.
    async share(items, { sizeOf, work }) {
      sizes.push(...items.map(sizeOf))
      const later = await work(items.slice(1))
      return [...(await work(items.slice(0, 1))), ...later]
    },
  })
  expect(sizes.length).toBeGreaterThan(2)
  expect(sizes.reduce((sum, size) => sum + size)).toBe(examples.reduce((sum, { ids }) => sum + ids.length, 0))
  expect(scores).toEqual(await scoreCompletions(model, examples, options))
})

it('stops when it is aborted', async () => {
  const model = build('gpt2', 'causal-lm')
  const scored = scoreCompletions(model, examples, { microTokens: 1, padded: false, signal: AbortSignal.abort('stop') })
  await expect(scored).rejects.toBe('stop')
})

it('sums by completion, with a gradient for each token', () => {
  const batch = { sequences: tensor([0, 0, 1, 2, 2, 2], { dtype: 'int64' }), counts: [2, 1, 3, 0] }
  const values = Tensor.from(Float32Array.of(1, 2, 3, 1e8, 1, -1e8))
  values.requiresGrad = true
  const sums = sumByCompletion(values, batch)
  // In float32 the 1 beside 1e8 would be lost.
  expect(sums.toArray()).toEqual([3, 3, 1, 0])
  sums
    .mul(tensor([1, 10, 100, 1000]))
    .sum()
    .backward()
  expect(values.grad?.toArray()).toEqual([1, 1, 10, 100, 100, 100])
})

it('refuses a model that predicts no next token', () => {
  const model = build('llama', 'sequence-classification')
  expect(() => completionLogProbs(model, collateCompletions(examples, { padded: false, device: testDevice }))).toThrow(
    'Expected a model with the head causal-lm, got sequence-classification.',
  )
})
