// Evaluation against transformers, a token at a time (golden/, made by make-golden.py), and against itself in other ways.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { loadModel } from '../../src/checkpoint/index.ts'
import { tokensInMemory } from '../../src/data/index.ts'
import type { Model } from '../../src/models/index.ts'
import { evaluateLanguageModelling, evaluateMinimalPairs, type MinimalPair } from '../../src/tasks/index.ts'
import { scoreBatch } from '../../src/tasks/language-modelling/scoring.ts'
import { liveTensors } from '../../src/tensor/index.ts'
import { loadTokenizer, type Tokenizer } from '../../src/tokenizers/index.ts'

interface Expected {
  texts: string[]
  pairs: [good: string, bad: string, paradigm: string, field: string][]
  maxLength: number
  stride: number
  gpt2: {
    withStart: Summary
    withoutStart: Summary
    shortText: string
    shortLoss: number
    pairs: [number, number][]
  }
  bert: {
    texts: string[]
    pseudoPerplexity: number
    pairs: [number, number][]
    masked: { ids: number[]; labels: number[]; loss: number }
  }
}
type Summary = Record<'loss' | 'perplexity' | 'bitsPerByte' | 'accuracy' | 'scored', number>

const golden = fileURLToPath(new URL('golden', import.meta.url))
const expected = JSON.parse(readFileSync(`${golden}/expected.json`, 'utf8')) as Expected
const { maxLength, stride, texts } = expected
const pairs = expected.pairs.map(([good, bad, paradigm, field]): MinimalPair => ({ good, bad, paradigm, field }))

let gpt2: Model
let bert: Model
let bpe: Tokenizer
let wordpiece: Tokenizer
beforeAll(async () => {
  ;[gpt2, bert] = [
    await loadModel(`${golden}/gpt2`, { head: 'causal-lm' }),
    await loadModel(`${golden}/bert`, { head: 'masked-lm' }),
  ]
  ;[bpe, wordpiece] = [await loadTokenizer(`${golden}/gpt2`), await loadTokenizer(`${golden}/bert`)]
})

const valuesOf = (metrics: Record<string, { value: number }>) =>
  Object.fromEntries(Object.entries(metrics).map(([name, { value }]) => [name, value]))

describe('a causal model', () => {
  test.each([true, false])('gets the numbers of transformers, start token %s', async (startToken) => {
    const { scored, ...wanted } = startToken ? expected.gpt2.withStart : expected.gpt2.withoutStart
    const result = await evaluateLanguageModelling(gpt2, bpe, texts, { maxLength, stride, startToken })
    for (const [name, value] of Object.entries(wanted))
      expect(result.metrics[name].value, name).toBeCloseTo(value, name === 'perplexity' ? 2 : 5)
    expect(result.metrics.accuracy.value * scored).toBeCloseTo(wanted.accuracy * scored, 9)
    expect(result).toMatchObject({ documents: texts.length, unit: 'block' })
    for (const { value, low, high } of Object.values(result.metrics)) {
      expect(low).toBeLessThan(value)
      expect(high).toBeGreaterThan(value)
    }
  })

  test('gets the loss that transformers computes of a short text', async () => {
    const { metrics } = await evaluateLanguageModelling(gpt2, bpe, [expected.gpt2.shortText], { startToken: false })
    expect(metrics.loss.value).toBeCloseTo(expected.gpt2.shortLoss, 5)
    expect(metrics.loss.low).toBeNaN()
  })

  test('gets the same from shards as from texts, whatever the batch', async () => {
    const settings = { maxLength, stride }
    const fromTexts = await evaluateLanguageModelling(gpt2, bpe, texts, { ...settings, batchTokens: 1 })
    const eos = bpe.special.eos!.id
    const ids = texts.map((text) => [eos, ...bpe.encodeIds(text), eos])
    let end = 0
    const source = tokensInMemory(
      Uint16Array.from(ids.flat()),
      ids.map(({ length }) => (end += length)),
    )
    const fromShards = await evaluateLanguageModelling(gpt2, bpe, source, settings)
    for (const [name, value] of Object.entries(valuesOf(fromTexts.metrics)))
      expect(fromShards.metrics[name].value, name).toBeCloseTo(value, 5)
    expect(fromShards).toMatchObject({ tokens: fromTexts.tokens, bytes: fromTexts.bytes, documents: texts.length })
    const halved = await evaluateLanguageModelling(gpt2, bpe, source, { ...settings, bytes: fromTexts.bytes / 2 })
    expect(halved.metrics.bitsPerByte.value).toBeCloseTo(2 * fromShards.metrics.bitsPerByte.value, 9)
  })

  test('has more context with a shorter stride, and scores every token once', async () => {
    const at = (given: number) => evaluateLanguageModelling(gpt2, bpe, [texts[2]], { maxLength: 16, stride: given })
    const [short, long] = [await at(1), await at(16)]
    expect(short.tokens).toBe(long.tokens)
    expect(short.metrics.loss.value).not.toBeCloseTo(long.metrics.loss.value, 4)
  })

  test('stops at maxTokens, reports progress and can be stopped', async () => {
    const seen: number[] = []
    const result = await evaluateLanguageModelling(
      gpt2,
      bpe,
      texts,
      { maxTokens: 100, batchTokens: 64 },
      {
        onProgress: ({ tokens }) => seen.push(tokens),
      },
    )
    expect(result.tokens).toBe(100)
    // The start tokens are no text.
    expect(seen.at(-1)).toBe(100)
    const controller = new AbortController()
    const stopped = evaluateLanguageModelling(
      gpt2,
      bpe,
      texts,
      { batchTokens: 32 },
      {
        onProgress: () => controller.abort(),
        signal: controller.signal,
      },
    )
    await expect(stopped).rejects.toThrow('abort')
  })

  test('leaves no tensor behind and its mode as it was', async () => {
    const before = liveTensors()
    gpt2.train()
    await evaluateLanguageModelling(gpt2, bpe, texts)
    expect(gpt2.training).toBe(true)
    gpt2.eval()
    expect(liveTensors()).toBeLessThanOrEqual(before)
  })
})

describe('a masked model', () => {
  test('gets the pseudo-perplexity of transformers', async () => {
    const result = await evaluateLanguageModelling(bert, wordpiece, expected.bert.texts, { pseudoTokens: 10_000 })
    expect(result.metrics.pseudoPerplexity.value / expected.bert.pseudoPerplexity).toBeCloseTo(1, 4)
  })

  test('gets the masked loss of transformers', () => {
    const { ids, labels, loss } = expected.bert.masked
    const places = labels.flatMap((label, i) => (label === -100 ? [] : [i]))
    const [{ logProbability }] = scoreBatch(bert, [{ ids, places, labels: places.map((i) => labels[i]) }])
    expect(-logProbability / places.length).toBeCloseTo(loss, 5)
  })

  test('masks about its share of tokens, the same ones for the same seed', async () => {
    const source = Array.from({ length: 40 }, (_, i) => texts[i % texts.length])
    const run = async (seed: number) => {
      const result = await evaluateLanguageModelling(bert, wordpiece, source, { seed, resamples: 50 })
      return { ...result, seconds: 0 }
    }
    const first = await run(1)
    expect(await run(1)).toEqual(first)
    expect((await run(2)).metrics.maskedLoss.value).not.toBe(first.metrics.maskedLoss.value)
    expect(first.unit).toBe('document')
    expect(first.metrics.maskedPerplexity.value).toBeCloseTo(Math.exp(first.metrics.maskedLoss.value), 9)
    expect(first.metrics.maskedAccuracy.value).toBeGreaterThan(0)
  })

  test('predicts tokens that it sees better than masked ones', async () => {
    const kept = await evaluateLanguageModelling(bert, wordpiece, texts.slice(0, 1), {
      replaceWithMask: 0,
      replaceWithRandom: 0,
      maskShare: 0.9,
    })
    const hidden = await evaluateLanguageModelling(bert, wordpiece, texts.slice(0, 1), {
      replaceWithMask: 1,
      replaceWithRandom: 0,
      maskShare: 0.9,
    })
    expect(kept.metrics.maskedLoss.value).not.toBe(hidden.metrics.maskedLoss.value)
  })
})

describe('minimal pairs', () => {
  test.each(['gpt2', 'bert'] as const)('are scored by %s as in transformers', async (name) => {
    const [model, tokenizer] = name === 'gpt2' ? [gpt2, bpe] : [bert, wordpiece]
    const right = expected[name].pairs.map(([good, bad]) => (good > bad ? 1 : good === bad ? 0.5 : 0))
    const seen: number[] = []
    const result = await evaluateMinimalPairs(
      model,
      tokenizer,
      pairs,
      { batchTokens: 100 },
      {
        onProgress: (progress) => seen.push(progress.pairs),
      },
    )
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
    expect(result.paradigms.agreement).toMatchObject({ value: mean(right.slice(0, 3)), pairs: 3, field: 'morphology' })
    expect(result.paradigms.questions).toMatchObject({ value: mean(right.slice(3)), pairs: 3, field: 'syntax' })
    expect(result.accuracy.value).toBeCloseTo(mean([mean(right.slice(0, 3)), mean(right.slice(3))]), 12)
    expect(result.fields.syntax).toMatchObject({ value: mean(right.slice(3)), paradigms: 1 })
    expect(seen.at(-1)).toBe(pairs.length)
  })

  test('have the log-probabilities of transformers', () => {
    const start = bpe.special.bos!.id
    const sums = pairs.flatMap(({ good, bad }) =>
      [good, bad].map((text) => {
        const ids = [...bpe.encodeIds(text)]
        const piece = { ids: [start, ...ids.slice(0, -1)], places: ids.map((_, i) => i), labels: ids }
        return scoreBatch(gpt2, [piece])[0].logProbability
      }),
    )
    const wanted = expected.gpt2.pairs.flat()
    for (const [i, sum] of sums.entries()) expect(sum).toBeCloseTo(wanted[i], 4)
  })
})

describe('an evaluation that does not fit the model', () => {
  const evaluate = (model: Model, tokenizer: Tokenizer, settings: object, source: string[] = texts) =>
    evaluateLanguageModelling(model, tokenizer, source, settings)

  test.each([
    [{ maskShare: 0.2 }, 'Expected no `maskShare` for a causal model'],
    [{ maxLength: 33 }, 'Expected at most 32 for `maxLength`'],
    [{ maxLength: 8, stride: 9 }, 'Expected at most `maxLength` 8 for `stride`'],
    [{ batchToken: 9 }, 'Did you mean'],
    [{ confidence: 1 }, 'confidence'],
  ])('is refused for a causal model: %o', async (settings, message) => {
    await expect(evaluate(gpt2, bpe, settings)).rejects.toThrow(message)
  })

  test('is refused for masked models, foreign tokenizers, other heads and empty sources', async () => {
    await expect(evaluate(bert, wordpiece, { stride: 3 })).rejects.toThrow('Expected no `stride` for a masked model')
    await expect(evaluate(bert, bpe, {})).rejects.toThrow('ids below the model')
    await expect(evaluate(gpt2, bpe, {}, ['', ''])).rejects.toThrow('Expected text to evaluate on')
    const classifier = await loadModel(`${golden}/bert`, { head: 'sequence-classification' })
    await expect(evaluate(classifier, wordpiece, {})).rejects.toThrow('language-modelling head')
    await expect(evaluateMinimalPairs(gpt2, bpe, [])).rejects.toThrow('Expected minimal pairs')
    await expect(evaluateMinimalPairs(gpt2, wordpiece, pairs)).resolves.toBeDefined()
  })
})
