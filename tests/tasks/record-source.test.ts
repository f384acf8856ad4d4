// Records of any number: read chunk by chunk in every pass, and no longer used once the next chunk is asked for; what is wrong late in a file
// is named. Expected values are those of all records in memory.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { jsonLines, LineFile, writeFileAtomic } from '../../src/core/index.ts'
import { buildModel, models } from '../../src/models/index.ts'
import { factsOfRecords } from '../../src/runs/examples/run-data.ts'
import { joinValidation } from '../../src/runs/finetune/several-sets.ts'
import { EvaluationDraft, SetScores } from '../../src/runs/finetune/write-evaluation.ts'
import {
  evaluateRecords,
  evaluateTask,
  findTask,
  firstRecords,
  limitedRecords,
  openRecords,
  type RecordSource,
  recordsInMemory,
  scoreIntervals,
  scoreIntervalsByTurns,
  scoreRecords,
  statisticsOf,
  type TaskPrediction,
  type TaskRecord,
  taskConfig,
} from '../../src/tasks/index.ts'
import { Generator } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { wordTokenizer } from './word-tokenizer.ts'

const scratch = mkdtempSync(join(tmpdir(), 'tunesmith-records-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const words = ['the', 'house', 'river', 'old', 'bird', 'rain']
const text = (i: number) => Array.from({ length: 2 + (i % 7) }, (_, k) => words[(i * (k + 3)) % 6]).join(' ')
const classes = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ text: text(i), label: i % 3 === 0 ? 'a' : 'b' }))
const lines = (name: string, rows: readonly object[]) => {
  const path = join(scratch, name)
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'))
  return path
}

const task = findTask('sequence-classification')
const config = taskConfig(task)

const allOf = async (source: RecordSource, size: number): Promise<TaskRecord[][]> => {
  const chunks: TaskRecord[][] = []
  for await (const chunk of source.chunks(size)) chunks.push([...chunk])
  return chunks
}

describe('records of a file', () => {
  it('are read again in each pass where they are many, in chunks of the size that is asked for', async () => {
    const path = lines('many.jsonl', classes(23))
    const { records: whole, report: wanted } = await task.read(path, config)
    for (const keep of [4, 23, 100]) {
      const { records, report } = await openRecords(task, path, config, { keep })
      expect(report).toEqual(wanted)
      expect(records.length).toBe(23)
      for (const size of [1, 5, 23, 50]) {
        const chunks = await allOf(records, size)
        expect(chunks.flat()).toEqual(whole)
        expect(chunks.slice(0, -1).every(({ length }) => length === size)).toBe(true)
      }
      expect(await firstRecords(records, 6)).toEqual(whole.slice(0, 6))
      expect((await allOf(limitedRecords(records, 7), 3)).flat()).toEqual(whole.slice(0, 7))
      expect(await allOf(limitedRecords(records, 0), 3)).toEqual([])
    }
  })

  it('name file and line of what is wrong, late in the file too, before a pass begins', async () => {
    const path = lines('late.jsonl', [...classes(40), { text: 'the end', label: '' }])
    await expect(openRecords(task, path, config, { keep: 4 })).rejects.toThrow(/late\.jsonl:41: /)
  })

  it('that changed since are an error of the pass', async () => {
    const path = lines('changed.jsonl', classes(12))
    const { records } = await openRecords(task, path, config, { keep: 4 })
    lines('changed.jsonl', classes(9))
    await expect(allOf(records, 5)).rejects.toThrow(/Expected the 12 records that were there before, got 9: run again/)
    lines('changed.jsonl', [...classes(5), { text: '', label: 'a' }])
    await expect(allOf(records, 5)).rejects.toThrow(/changed\.jsonl:6: /)
  })

  it('of a reader that gives all at once stay in memory', async () => {
    const path = lines('whole.jsonl', classes(12))
    let reads = 0
    const read: typeof task.read = (...all) => {
      reads++
      return task.read(...all)
    }
    const { records } = await openRecords({ read }, path, config, { keep: 4 })
    expect((await allOf(records, 5)).flat()).toHaveLength(12)
    expect(reads).toBe(1)
  })
})

/** Records that cannot be used any more once the next chunk is asked for: a reader that keeps some of them fails. */
const shortLived = (records: readonly TaskRecord[], count = { alive: 0, most: 0 }): RecordSource => ({
  length: records.length,
  async *chunks(size) {
    for (let from = 0; from < records.length; from += size) {
      const given = records.slice(from, from + size).map((record) => Proxy.revocable(record, {}))
      count.alive += given.length
      count.most = Math.max(count.most, count.alive)
      yield given.map(({ proxy }) => proxy)
      for (const { revoke } of given) revoke()
      count.alive -= given.length
    }
  },
})

const tokenizer = wordTokenizer(['[PAD]', '[UNK]', '[CLS]', '[SEP]', ...words])

const place = (i: number) => ({ id: String(i), file: 'made.jsonl', line: i + 1 })
const made: [type: string, settings: object, record: (i: number) => object][] = [
  ['sequence-classification', {}, (i) => ({ text: text(i), labels: [i % 3 === 0 ? 'a' : 'b'] })],
  [
    'sequence-classification',
    { multiLabel: true, fit: ['temperature', 'thresholds'] },
    (i) => ({ text: text(i), labels: ['a', 'b'].filter((_, k) => (i + k) % 2 === 0) }),
  ],
  ['regression', {}, (i) => ({ text: text(i), value: Math.sin(i) })],
  [
    'token-classification',
    {},
    (i) => ({
      tokens: text(i).split(' '),
      tags: text(i)
        .split(' ')
        .map((word) => (word === 'bird' ? 'B-X' : 'O')),
    }),
  ],
  [
    'extractive-qa',
    { stride: 1 },
    (i) => ({
      question: 'old',
      context: `${text(i)} the river`,
      answers: i % 2 === 0 ? [{ text: 'river', start: text(i).length + 5 }] : [],
    }),
  ],
  ['multiple-choice', {}, (i) => ({ text: text(i), choices: [text(i + 1), text(i + 2)], answer: i % 2 })],
  [
    'sentence-similarity',
    {},
    (i) => ({ text: text(i), pair: text(i + 1), negatives: i % 3 === 0 ? [text(i + 2)] : [] }),
  ],
  ['sentence-similarity', { label: 'score' }, (i) => ({ text: text(i), pair: text(i + 1), label: Math.sin(i) })],
]

describe.each(made)('the evaluation of %s %j', (type, settings, recordOf) => {
  const own = findTask(type)
  const ownConfig = taskConfig(own, { ...settings })
  const records = Array.from({ length: 21 }, (_, i) => ({ ...place(i), ...recordOf(i) })) as TaskRecord[]
  const trained = statisticsOf(own, records)
  const shape = models.bert.adjust({} as never, {
    vocabSize: 10,
    hiddenSize: 16,
    numLayers: 2,
    numHeads: 2,
    intermediateSize: 32,
    maxPositions: 32,
  })
  const headOptions = own.headOptions(trained, ownConfig)
  const model = buildModel(models.bert as never, shape, [own.head].flat()[0], headOptions)
  model.initialize({ std: 0.3, generator: new Generator(5) }).to({ device: testDevice })
  const options = { maxLength: 12, resamples: 30 }
  const { labels } = model.headOptions

  it('uses no record once the next ones are asked for, and gives the scores of all in memory', async () => {
    const whole = await evaluateTask(model, tokenizer, own, records, ownConfig, options)
    const predictions: TaskPrediction[] = []
    const count = { alive: 0, most: 0 }
    const { result } = await evaluateRecords(
      model,
      tokenizer,
      own,
      shortLived(records, count),
      ownConfig,
      { ...options, chunk: 4 },
      (_, prediction) => predictions.push(prediction),
    )
    expect(count.most).toBe(4)
    expect(predictions.map(({ id }) => id)).toEqual(records.map(({ id }) => id))
    const { seconds: _, ...rest } = result
    expect(rest).toMatchObject({ examples: whole.examples, tokens: whole.tokens, mainMetric: whole.mainMetric })
    const scored = scoreRecords(own, records, predictions, ownConfig, labels)
    expect(result.metrics).toEqual(scoreIntervals(scored, { resamples: 30 }))
    expect(result.details).toEqual(scored.details())
  })

  it('is written from records of several sets that live as short, as it is from those in memory', async () => {
    const { predictions } = await evaluateTask(model, tokenizer, own, records, ownConfig, options)
    const written = async (name: string, sourceOf: (own: readonly TaskRecord[]) => RecordSource) => {
      const joined = joinValidation([
        { name: 'one', records: sourceOf(records.slice(0, 13)) },
        { name: 'two', records: sourceOf(records.slice(13)) },
      ])
      const input = { task: own, config: ownConfig, validationSets: joined.sets, labels: labels ?? [] }
      const folder = mkdtempSync(join(scratch, `${name}-`))
      const draft = new EvaluationDraft({ ...input, trained, seed: 3, folder, advice: '', samples: 0 })
      const sets = new SetScores(input)
      const scorer = own.scorer(ownConfig, labels)
      const byId = new Map(predictions.map((prediction) => [prediction.id, prediction]))
      const ids: string[] = []
      for await (const chunk of joined.records.chunks(5))
        for (const record of chunk) {
          const prediction = { ...byId.get(record.id.split('/')[1]), id: record.id } as TaskPrediction
          for (const taker of [draft, sets, scorer]) taker.add(record, prediction)
          ids.push(record.id)
        }
      expect(ids.slice(0, 4)).toEqual(['one/0', 'two/13', 'one/1', 'two/14'])
      expect(ids).toHaveLength(21)
      const units = scorer.units()
      await draft.write(folder, {
        result: {
          ...{
            examples: 21,
            tokens: 1,
            truncatedTokens: 0,
            truncatedRecords: 0,
            seconds: 1,
            mainMetric: own.mainMetric(ownConfig),
          },
          ...{ metrics: { ...scoreIntervals(units), ...(await sets.metrics()) }, details: units.details() },
        },
        warnings: [],
        parameters: { trained: 1, total: 1 },
      })
      draft.close()
      expect(readdirSync(folder).sort()).toEqual(['evaluation.json', 'predictions.jsonl', 'timing.json'])
      return ['evaluation.json', 'predictions.jsonl'].map((file) => readFileSync(join(folder, file), 'utf8'))
    }
    const memory = await written('memory', recordsInMemory)
    expect(await written('short', shortLived)).toEqual(memory)
    const { records: facts } = JSON.parse(memory[0]) as { records: object }
    const joined = joinValidation([
      { name: 'one', records: recordsInMemory(records.slice(0, 13)) },
      { name: 'two', records: recordsInMemory(records.slice(13)) },
    ])
    expect(facts).toEqual(factsOfRecords(await firstRecords(joined.records, 21)))
  })
})

describe('lines', () => {
  it('come back as they were written, from a file without a name', async () => {
    const folder = mkdtempSync(join(scratch, 'lines-'))
    const file = new LineFile<object>(folder)
    // More than one piece, with letters of several bytes at every offset.
    const items = Array.from({ length: 3000 }, (_, i) => ({ i, text: 'é€😀'.repeat(1 + (i % 40)) }))
    for (const item of items) file.add(item)
    const back: object[] = []
    for await (const item of file.items()) back.push(item)
    expect(back).toEqual(items)
    expect(readdirSync(folder)).toEqual([])
    await writeFileAtomic(join(folder, 'all.jsonl'), file.pieces())
    await writeFileAtomic(join(folder, 'same.jsonl'), jsonLines(items))
    file.close()
    const wanted = items.map((item) => `${JSON.stringify(item)}\n`).join('')
    for (const name of ['all.jsonl', 'same.jsonl']) expect(readFileSync(join(folder, name), 'utf8')).toBe(wanted)
  })
})

it('intervals of many units let others work, and are the same', async () => {
  const scores = findTask('regression').scorer({})
  for (let i = 0; i < 30_000; i++)
    scores.add({ ...place(i), value: i % 17 } as TaskRecord, { id: '0', value: (i * 7) % 13 } as TaskPrediction)
  const units = scores.units()
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  const found = await scoreIntervalsByTurns(units, { resamples: 30 })
  clearInterval(timer)
  expect(turns).toBeGreaterThan(3)
  expect(found).toEqual(scoreIntervals(units, { resamples: 30 }))
  const stopped = scoreIntervalsByTurns(units, { resamples: 30 }, AbortSignal.abort(new Error('stop')))
  await expect(stopped).rejects.toThrow('stop')
})
