// Training of vectors that are compared with each other: no split of a batch changes the loss, and runs end with files that give the vectors
// that were trained.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { createRandom } from '../../src/core/index.ts'
import { open } from '../../src/inference/index.ts'
import { buildModel, type Model, models } from '../../src/models/index.ts'
import { finetune } from '../../src/runs/index.ts'
import { type ComparedExample, createSimilarityCriterion } from '../../src/tasks/learning/similarity-criterion.ts'
import { type SimilarityLossName, similarityLosses } from '../../src/tasks/learning/similarity-losses.ts'
import {
  emptyCache,
  Generator,
  memoryStatistics,
  resetPeakMemory,
  setMemoryLimit,
  setThreads,
} from '../../src/tensor/index.ts'
import type { ExampleSource } from '../../src/training/index.ts'
import { build } from '../objectives/small-models.ts'
import { eventsOf, largestDifference, lossesOf, ofType, runOf } from './small-loop.ts'
import { makeSmallData, type SmallData } from './small-run.ts'

beforeAll(() => setThreads(1))

const criterionOf = (loss: SimilarityLossName) =>
  createSimilarityCriterion<ComparedExample>({ padId: 0, loss: similarityLosses[loss], scale: 20 })

/** Pairs of uneven lengths, some with a text that does not belong to them. */
const sourceOf = (labelled: boolean): ExampleSource<never> => ({
  perEpoch: 40,
  example(position) {
    const random = createRandom(`pairs/${position % 40}`)
    const starts = labelled || position % 3 > 0 ? [0, 5 + random.integer(9)] : [0, 6, 11 + random.integer(5)]
    const ids = Uint32Array.from({ length: starts.at(-1)! + 3 + random.integer(12) }, () => 5 + random.integer(40))
    const label = labelled ? { label: random.integer(5) } : {}
    return { example: { ids, starts, truncatedTokens: 0, ...label } as never, cut: 0 }
  },
})

const dropout = { bert: { hiddenDropout: 0.1, attentionDropout: 0.1 }, llama: {} } as const
type Kind = keyof typeof dropout

const embedder = (kind: Kind, more: object = {}): Model => build(kind, 'embedding', { ...dropout[kind], ...more })

const trained = (kind: Kind, loss: SimilarityLossName, batch: object, more: object = {}) => {
  const source = sourceOf(loss !== 'multiple-negatives')
  return runOf(
    kind,
    { batch: { sequences: 12, ...batch }, budget: { steps: 6 } },
    {
      source,
      model: embedder(kind, more),
      objective: criterionOf(loss) as never,
    },
  )
}

describe.each([
  ['bert', 'multiple-negatives'],
  ['llama', 'multiple-negatives'],
  ['bert', 'cosent'],
  ['bert', 'cosine'],
] as const)('%s with %s', (kind, loss) => {
  it.each([true, false])(
    'has the losses of the whole batch in micro-batches, padded %s, dropout included',
    async (padded) => {
      const whole = lossesOf(await eventsOf(trained(kind, loss, { padded, microTokens: 4096 })))
      const split = lossesOf(await eventsOf(trained(kind, loss, { padded, microTokens: 60 })))
      expect(whole).toHaveLength(6)
      expect(whole[0]).toBeGreaterThan(0)
      expect(largestDifference(split, whole)).toBeLessThan(2e-5)
    },
  )
})

it('does not take a part of a batch for the whole', async () => {
  const criterion = criterionOf('multiple-negatives')
  const model = embedder('bert')
  const examples = [0, 1, 2].map((i) => sourceOf(false).example(i).example as unknown as ComparedExample)
  const context = { model, microTokens: 4096, padded: true, step: 0, position: 0, seed: 0 }
  const prepared = await criterion.prepare!(examples, context)
  const batch = criterion.collate(prepared.slice(0, 2), { padded: true })
  expect(() => criterion.loss(model, batch)).toThrow('Expected the 3 examples of a batch together')
})

describe('memory that runs out', () => {
  afterEach(() => setMemoryLimit(undefined))

  it('splits the batch, with the same losses', async () => {
    // Large enough that garbage of other tests, which is freed at any time, does not matter.
    const large = (microTokens: number) =>
      trained('bert', 'multiple-negatives', { sequences: 40, microTokens }, { hiddenSize: 64, numLayers: 4 })
    const peakOf = async (microTokens: number) => {
      const run = large(microTokens)
      emptyCache()
      const { inUse } = memoryStatistics()
      resetPeakMemory()
      const losses = lossesOf(await eventsOf(run))
      return { bytes: memoryStatistics().peak - inUse, losses }
    }
    const whole = await peakOf(8192)
    const small = await peakOf(30)
    expect(small.bytes).toBeLessThan(0.8 * whole.bytes)
    const run = large(8192)
    emptyCache()
    setMemoryLimit(memoryStatistics().inUse + Math.ceil((small.bytes + whole.bytes) / 2))
    const events = await eventsOf(run)
    setMemoryLimit(undefined)
    expect(ofType(events, 'incident').map(({ kind }) => kind)).toContain('out-of-memory')
    expect(largestDifference(lossesOf(events), whole.losses)).toBeLessThan(2e-5)
  })
})

describe('a run', () => {
  let data: SmallData
  const at = (name: string) => join(data.root, name)
  const places = ['house', 'river', 'bird', 'stone']
  /** A text belongs to the one with the same thing in it. */
  const rows = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => {
      const [thing, other] = [places[(from + i) % 4], places[(from + i + 1) % 4]]
      const size = ['old', 'small', 'green', 'light of'][((from + i) >> 2) % 4]
      return { text: `the ${size} ${thing}`, pair: `a ${thing} walks ${size}`, negatives: [`a ${other} walks ${size}`] }
    })
      .map((row) => JSON.stringify(row))
      .join('\n')

  beforeAll(async () => {
    data = await makeSmallData()
    const tokenizer = await loadTokenizer(data.tokenizer)
    const { bert } = models
    const model = buildModel(bert, bert.adjust(bert.presets.test, { vocabSize: tokenizer.maxId + 1 }), 'masked-lm')
    model.initialize({ std: 0.1, generator: new Generator(1) })
    await saveModel(model, at('base'), { tokenizer: data.tokenizer })
    writeFileSync(at('train.jsonl'), rows(0, 96))
    writeFileSync(at('held.jsonl'), rows(0, 16))
  })
  afterAll(() => data.dispose())

  const run = async (name: string, more: object) => {
    await finetune({
      base: at('base'),
      task: 'sentence-similarity',
      settings: { negatives: 'negatives', pooling: 'first' },
      data: at('train.jsonl'),
      validation: at('held.jsonl'),
      out: at(name),
      maxLength: 16,
      batch: { sequences: 8 },
      budget: { steps: 60 },
      learningRate: 0.003,
      ...more,
    } as unknown as Parameters<typeof finetune>[0])
    const read = (file: string) => readFileSync(join(at(name), 'model', file), 'utf8')
    return { folder: join(at(name), 'model'), read }
  }

  it.each(['full', 'lora'] as const)(
    'of %s finds what belongs together, and its files give the same vectors',
    async (variant) => {
      const adapter = variant === 'lora' ? { adapter: { rank: 8 }, learningRate: 0.015, budget: { steps: 120 } } : {}
      const { folder, read } = await run(variant, { variant, ...adapter })
      const evaluation = JSON.parse(read('evaluation.json')) as { metrics: Record<string, { value: number }> }
      expect(evaluation.metrics.ndcgAt10.value).toBeGreaterThan(0.9)
      const [first] = read('predictions.jsonl').split('\n')
      const { embeddings, similarity } = JSON.parse(first) as { embeddings: string[]; similarity: number }
      const bytes = Buffer.from(embeddings[0], 'base64')
      const vector = new Float32Array(new Uint8Array(bytes).buffer)
      const opened = await open(folder)
      try {
        const [again, pair] = await opened.embed(['the old house', 'a house walks old'])
        expect(again.length).toBe(vector.length)
        again.forEach((value, i) => {
          expect(value).toBeCloseTo(vector[i], 4)
        })
        const cosine =
          again.reduce((sum, value, i) => sum + value * pair[i], 0) / (Math.hypot(...again) * Math.hypot(...pair))
        expect(cosine).toBeCloseTo(similarity, 4)
      } finally {
        opened.close()
      }
      if (variant === 'lora') return expect(existsSync(join(folder, 'modules.json'))).toBe(false)
      expect(JSON.parse(read('1_Pooling/config.json'))).toMatchObject({
        word_embedding_dimension: vector.length,
        pooling_mode_cls_token: true,
        pooling_mode_mean_tokens: false,
      })
      expect(JSON.parse(read('sentence_bert_config.json'))).toMatchObject({ max_seq_length: 16 })
    },
  )
})
