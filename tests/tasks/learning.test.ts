// Losses of tasks: padded and packed batches agree in loss and gradients, weights are what the loss divides by, and values are those of
// the definitions. Small models with random weights.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadTokenizer } from '../../src/checkpoint/index.ts'
import { OutOfMemoryError } from '../../src/core/index.ts'
import type { Model } from '../../src/models/index.ts'
import {
  evaluateRecords,
  evaluateTask,
  expectDiscriminative,
  predictTask,
  recordsInMemory,
  type TaskDefinition,
  type TaskExample,
  type TaskPrediction,
  taskConfig,
  tasks,
} from '../../src/tasks/index.ts'
import { gradients, scope, setThreads } from '../../src/tensor/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { testDevice } from '../device.ts'
import { built, cases, tokenizer, words } from './learning-cases.ts'

// Tensors of this size only lose by threads.
setThreads(1)

const lossOf = (
  model: Model,
  { criterion: learner }: ReturnType<typeof built>['prepared'],
  examples: readonly TaskExample[],
  padded: boolean,
) => {
  const { terms } = learner.loss(model, learner.collate(examples, { padded, device: testDevice }))
  const [{ sum, weight, scale }] = terms
  return { sum, weight, scale }
}

/** Summed loss and gradients, by parameter. */
const stepOf = (
  model: Model,
  prepared: ReturnType<typeof built>['prepared'],
  examples: readonly TaskExample[],
  padded: boolean,
) =>
  scope(() => {
    const { sum, weight } = lossOf(model, prepared, examples, padded)
    const named = [...model.parameters()]
    const found = gradients(
      [sum],
      named.map(([, parameter]) => parameter),
    )
    const grads = new Map(named.map(([name], i) => [name, found[i] && Array.from(found[i].toFloat32Array())]))
    return { sum: sum.item(), weight, grads }
  })

describe.each(cases)('learning $name', (one) => {
  it('has the same loss and gradients padded, packed and in parts', () => {
    const { model, prepared, examples } = built(one)
    const padded = stepOf(model, prepared, examples, true)
    const packed = stepOf(model, prepared, examples, false)
    expect(padded.sum).toBeGreaterThan(0)
    expect(packed.sum).toBeCloseTo(padded.sum, 4)
    expect(packed.weight).toBeCloseTo(padded.weight, 6)
    let largest = 0
    for (const [name, grad] of padded.grads) {
      const other = packed.grads.get(name)
      grad?.forEach((value, i) => {
        largest = Math.max(largest, Math.abs(value))
        expect(Math.abs(value - other![i]), name).toBeLessThan(1e-4)
      })
    }
    expect(largest).toBeGreaterThan(1e-3)
    const parts = examples.map((example) => stepOf(model, prepared, [example], false))
    expect(parts.reduce((sum, part) => sum + part.sum, 0)).toBeCloseTo(padded.sum, 3)
    const [term] = Object.keys(prepared.criterion.weights(examples[0]))
    const weights = examples.map((example) => prepared.criterion.weights(example)[term])
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(padded.weight, 5)
  })

  it('predicts the same in batches of any size, with scores', async () => {
    const { model, task, config } = built(one)
    const small = await predictTask(model, tokenizer, task, one.records, config, { maxLength: 12, batchTokens: 1 })
    const result = await evaluateTask(model, tokenizer, task, one.records, config, { maxLength: 12, resamples: 20 })
    expect(result.predictions.map(({ id }) => id)).toEqual(one.records.map(({ id }) => id))
    expect(comparable(small.predictions)).toEqual(comparable(result.predictions))
    // Encoded two records at a time, as large data is.
    const predictions: TaskPrediction[] = []
    const source = recordsInMemory(one.records)
    const settings = { maxLength: 12, batchTokens: 64, chunk: 2, resamples: 20 }
    const chunks = await evaluateRecords(model, tokenizer, task, source, config, settings, (_, prediction) =>
      predictions.push(prediction),
    )
    expect(comparable(predictions)).toEqual(comparable(result.predictions))
    const { examples, tokens, truncatedTokens, truncatedRecords, details } = result
    expect(chunks.result).toMatchObject({ examples, tokens, truncatedTokens, truncatedRecords })
    if (details.calibration === undefined) expect(chunks.result.details).toEqual(details)
    expect(result.metrics[result.mainMetric]).toBeDefined()
    // What was predicted is read back from its line as it was.
    result.predictions.forEach((prediction, i) => {
      const back = task.parsePrediction(JSON.parse(JSON.stringify(prediction)), one.records[i], config)
      expect(prediction).toMatchObject(back)
    })
  })
})

/** Probabilities may differ in their last digits. */
const comparable = (predictions: readonly object[]) =>
  JSON.parse(JSON.stringify(predictions), (_, value: unknown) =>
    typeof value === 'number' ? Number(value.toFixed(4)) : value,
  )

describe('prediction', () => {
  const decoding = ({ task, config }: ReturnType<typeof built>) => {
    const decoded: string[] = []
    const watched: TaskDefinition = {
      ...task,
      prepare(...args) {
        const prepared = expectDiscriminative(task.prepare(...args))
        return {
          ...prepared,
          decode(record, outputs) {
            decoded.push(record.id)
            return prepared.decode(record, outputs)
          },
        }
      },
    }
    return { watched, decoded, config }
  }

  it.each(['tags', 'answers'])(
    'decodes records of %s as soon as their windows are done, in the order of the data',
    async (name) => {
      const one = cases.find((each) => each.name === name)!
      const all = built(one)
      const { watched, decoded, config } = decoding(all)
      const counts: number[] = []
      const { predictions } = await predictTask(all.model, tokenizer, watched, one.records, config, {
        maxLength: 12,
        batchTokens: 1,
        onProgress: () => counts.push(decoded.length),
      })
      expect(predictions.map(({ id }) => id)).toEqual(one.records.map(({ id }) => id))
      expect(counts[0]).toBeLessThan(one.records.length)
      expect(counts[counts.length - 2]).toBeGreaterThan(0)
      expect(counts.at(-1)).toBe(one.records.length)
      expect(new Set(decoded).size).toBe(one.records.length)
    },
  )

  it('halves batches that run out of memory', async () => {
    const one = cases.find(({ name }) => name === 'tags')!
    const { task, config, model } = built(one)
    const options = { maxLength: 12, batchTokens: 4096 }
    const { predictions } = await predictTask(model, tokenizer, task, one.records, config, options)
    const forward = model.forward.bind(model)
    let failures = 0
    model.forward = (inputs) => {
      if ((inputs.starts?.shape[0] ?? 0) > 2) {
        failures++
        throw new OutOfMemoryError('out of memory')
      }
      return forward(inputs)
    }
    const halved = await predictTask(model, tokenizer, task, one.records, config, options)
    expect(halved.predictions).toEqual(predictions)
    expect(failures).toBeGreaterThan(1)
  })
})

it('windows of questions share half of their context by default where the length is short, with a note', () => {
  const task = tasks['extractive-qa']
  const prepare = (maxLength: number, settings: { stride?: number }) =>
    expectDiscriminative(task.prepare(tokenizer, taskConfig(task, settings), { maxLength, headOptions: {} }))
  const record = { id: '0', file: 'x', line: 1, question: 'a b', context: 'c d e f g h i j k l', answers: [] }
  // 3 special tokens and a question of 2 leave 8 of 13 tokens.
  const short = prepare(13, {})
  expect(short.encode(record).map(({ contextLength }) => contextLength)).toEqual([8, 6])
  expect(short.notes).toEqual([expect.stringMatching(/at most 5, as `maxLength` 13 is too short.*`settings\.stride`/)])
  expect(prepare(13, { stride: 7 }).encode(record)).toHaveLength(3)
  expect(prepare(13, { stride: 7 }).notes).toEqual([])
  expect(prepare(384, {}).notes).toEqual([])
  expect(() => prepare(13, { stride: 8 }).encode(record)).toThrow(
    'leaves 8 tokens of context next to a question of 2 tokens, which must be more than `settings.stride` 8: raise `maxLength`',
  )
  expect(() => prepare(5, {}).encode(record)).toThrow('or lower `settings.maxQuestionTokens`')
})

it('evaluation resolves labels that data has as numbers by those of the head', async () => {
  const { model, task, config } = built(cases[0])
  const named = await evaluateTask(model, tokenizer, task, cases[0].records, config, { maxLength: 12, resamples: 5 })
  const numbered = cases[0].records.map((record, i) => ({ ...record, labels: [i % 2 ? '0' : '1'] }))
  const again = await evaluateTask(model, tokenizer, task, numbered, config, { maxLength: 12, resamples: 5 })
  expect(again.metrics).toEqual(named.metrics)
})

describe('encoded examples', () => {
  it('have a tag on the first token of each word, and each word once', () => {
    const { prepared } = built(cases[4])
    const [short] = prepared.encode(cases[4].records[0]) as (TaskExample & { labels: Int32Array })[]
    expect(Array.from(short.labels)).toEqual([-100, 0, -100, 1, 1, -100, -100])
    const long = prepared.encode(cases[4].records[2]) as unknown as { words: Uint32Array }[]
    expect(long.length).toBeGreaterThan(1)
    expect(long.flatMap(({ words }) => Array.from(words)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 14 }, (_, i) => i),
    )
  })

  it('of a running text are the tokens of the text itself, with a tag for each word that a token begins', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tunesmith-words-'))
    const texts = ['a (b), c. "De"\u200bf gh', 'ab\u00adc', 'a (b), c (b), d (b), e']
    const { files } = await trainTokenizer([...texts, ...texts, ...texts], { type: 'bpe', vocabSize: 270 })
    await writeTokenizerFolder(folder, files)
    const bytes = await loadTokenizer(folder)
    rmSync(folder, { recursive: true, force: true })
    const task = tasks['token-classification']
    const config = taskConfig(task, { stride: 2 })
    const labels = ['O', 'B-X', 'I-X']
    const prepare = (maxLength: number) =>
      expectDiscriminative(task.prepare(bytes, config, { maxLength, headOptions: { labels } }))
    for (const text of texts) {
      const record = task.recordFromInput({ text }, '0', config)
      const [whole] = prepare(64).encode(record)
      const { ids, offsets } = bytes.encode(text)
      expect(Array.from(whole.ids)).toEqual(Array.from(ids))
      // Each token says something else: the words must have the tag of the first token that overlaps them.
      const logits = Float32Array.from({ length: 3 * ids.length }, (_, i) => (i % 3 === Math.floor(i / 3) % 3 ? 1 : 0))
      const { tags } = prepare(64).decode(record, [{ example: whole, logits }])
      let at = 0
      let last = -1
      expect(tags).toEqual(
        record.tokens.map((word) => {
          const start = text.indexOf(word, at)
          at = start + word.length
          const token = offsets.findIndex(([from, to]) => from < at && to > start)
          const tag = labels[token % 3]
          const shown = token === last && tag === 'B-X' ? 'I-X' : tag
          last = token
          return shown
        }),
      )
      const windows = prepare(6).encode(record)
      const covered = windows.flatMap(({ words, covered }) => Array.from(words, (word, i) => [word, covered[i]]))
      expect(covered.reduce((sum, [, count]) => sum + count, 0)).toBe(record.tokens.length)
    }
    const { tokens } = task.recordFromInput({ text: texts[0] }, '0', config)
    expect(tokens).toEqual(['a', '(', 'b', ')', ',', 'c', '.', '"', 'De', '"\u200b', 'f', 'gh'])
    expect(task.recordFromInput({ text: 'zero\u200bwidth foo\u00adbar \ufeff' }, '0', config).tokens).toEqual([
      'zero\u200bwidth',
      'foo\u00adbar',
    ])
  })

  it('have the answer in the windows that contain all of it, and none in others', () => {
    const { prepared } = built(cases[5])
    const windows = prepared.encode(cases[5].records[0]) as unknown as { answer: [number, number]; ids: Uint32Array }[]
    expect(windows.map(({ answer: [first], ids }) => words[ids[first]])).toEqual(['b', '[CLS]', '[CLS]'])
    const [none] = prepared.encode(cases[5].records[2]) as unknown as { answer: [number, number] }[]
    expect(none.answer).toEqual([0, 0])
  })
})
