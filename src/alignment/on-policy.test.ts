// With batch-invariant kernels, log-probabilities that were recorded while sampling equal those of the training forward bit
// for bit: whatever the batch, the padding, the cache and the sharing of prompts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { applyAdapter } from '../adapters/index.ts'
import { GenerationScheduler } from '../generation/index.ts'
import { buildModel, type Model, models } from '../models/index.ts'
import { Generator, noGrad, scope, setBatchInvariant } from '../tensor/index.ts'
import { type CompletionTokens, collateCompletions, completionLogProbs } from './index.ts'

const sizes = {
  gpt2: { vocabSize: 61, hiddenSize: 48, numLayers: 2, numHeads: 3, maxPositions: 128 },
  llama: {
    vocabSize: 61,
    hiddenSize: 48,
    intermediateSize: 100,
    numLayers: 2,
    numHeads: 4,
    numKvHeads: 2,
    maxPositions: 128,
  },
} as const

const modelOf = (type: keyof typeof sizes): Model => {
  const definition = models[type]
  const config = definition.config.parse(sizes[type])
  return buildModel(definition as never, config as never, 'causal-lm').initialize({
    std: 0.3,
    generator: new Generator(3),
  })
}

/** The model with an adapter whose weights are not zero. */
const adapted = (model: Model): Model => {
  const { trainable } = applyAdapter(model, { type: 'lora', rank: 4 }, { seed: 1 })
  const generator = new Generator(5)
  for (const parameter of trainable.values()) noGrad(() => parameter.detach().normal_(0, 0.3, { generator }))
  return model
}

/** Prompts of 3 to 40 tokens, two answers each. */
const prompts = [3, 17, 40, 8, 5, 29].map((length, p) => Array.from({ length }, (_, i) => (7 * i + 11 * p + 1) % 61))

/** Completions with the log-probabilities that were recorded while they were sampled. */
const sampled = async (model: Model, temperature: number, maxRows: number) => {
  const scheduler = new GenerationScheduler(model, { maxRows, prefillTokens: 16 })
  const handles = prompts.flatMap((prompt, p) =>
    scheduler.submitGroup({
      prompt,
      options: { sample: true, temperature, maxNewTokens: 12 + 5 * p, seed: p, numReturnSequences: 2, eosTokenIds: [] },
      logProbs: 'model',
    }),
  )
  const results = await Promise.all(handles.map(({ result }) => result))
  scheduler.free()
  return results.map(({ ids, logProbs = [] }, i) => {
    const prompt = prompts[i >> 1]
    const example: CompletionTokens = {
      ids: Uint32Array.from([...prompt, ...ids]),
      starts: [0],
      promptTokens: prompt.length,
    }
    return { example, recorded: Float32Array.from(logProbs) }
  })
}

/** Log-probabilities by the forward pass that training uses, by completion. */
const trained = (model: Model, examples: readonly CompletionTokens[], how: { padded: boolean }, temperature: number) =>
  scope(() => {
    const { logProbs, counts } = completionLogProbs(model, collateCompletions(examples, how), { temperature })
    const values = noGrad(() => logProbs.detach().toFloat32Array())
    let at = 0
    return counts.map((count) => values.slice(at, (at += count)))
  })

describe.each(Object.keys(sizes) as (keyof typeof sizes)[])('%s', (type) => {
  let before = false
  beforeAll(() => {
    before = setBatchInvariant(true)
  })
  afterAll(() => {
    setBatchInvariant(before)
  })
  it.each([
    { temperature: 1, maxRows: 1, lora: false },
    { temperature: 0.7, maxRows: 5, lora: false },
    { temperature: 1, maxRows: 12, lora: true },
  ])('at temperature $temperature, $maxRows texts together, LoRA $lora', async ({ temperature, maxRows, lora }) => {
    const model = lora ? adapted(modelOf(type)) : modelOf(type)
    const rows = await sampled(model, temperature, maxRows)
    const examples = rows.map(({ example }) => example)
    const ways = [
      trained(model, examples, { padded: false }, temperature),
      trained(model, examples, { padded: true }, temperature),
      trained(model, [...examples].reverse(), { padded: false }, temperature).reverse(),
      examples.flatMap((example) => trained(model, [example], { padded: false }, temperature)),
    ]
    for (const way of ways) for (const [i, values] of way.entries()) expect(values).toEqual(rows[i].recorded)
  })
})

it('without them, both agree to 1e-4', async () => {
  const model = modelOf('llama')
  const rows = await sampled(model, 1, 5)
  const values = trained(
    model,
    rows.map(({ example }) => example),
    { padded: false },
    1,
  )
  const worst = Math.max(
    ...values.flatMap((own, i) => Array.from(own, (value, t) => Math.abs(value - rows[i].recorded[t]))),
  )
  expect(worst).toBeLessThan(1e-4)
})
