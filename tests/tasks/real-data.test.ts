// The known data sets, each read to its end: as many records as their makers say, and every answer and tag in its place. Needs the data
// beside the repository.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  expectDiscriminative,
  readPredictions,
  scoreRecords,
  statisticsOf,
  type TaskDefinition,
  taskConfig,
  tasks,
} from '../../src/tasks/index.ts'
import { loadTokenizer } from '../../src/tokenizers/index.ts'

const data = join(import.meta.dirname, '../../../shared/data')
const vocab = join(data, 'vocab')

const sets: [type: keyof typeof tasks, dataset: string, path: string, settings: object, records: number][] = [
  ['sequence-classification', 'sst2', 'sst2', { split: 'train' }, 67_349],
  ['sequence-classification', 'sst2', 'sst2', { split: 'validation' }, 872],
  ['sequence-classification', 'cola', 'cola', { split: 'train' }, 8551],
  ['sequence-classification', 'cola', 'cola', { split: 'validation' }, 527],
  ['sequence-classification', 'rte', 'rte', {}, 2490],
  ['sequence-classification', 'pubmedqa', 'pubmedqa', {}, 500],
  ['sequence-classification', 'imdb', 'imdb/aclImdb-subset.tar.gz', { split: 'train' }, 3000],
  ['sequence-classification', 'imdb', 'imdb/aclImdb-subset.tar.gz', { split: 'test' }, 1000],
  ['regression', 'sts-b', 'sts-b', { split: 'train' }, 3749],
  ['regression', 'sts-b', 'sts-b', { split: 'validation' }, 1000],
  ['token-classification', 'wnut17', 'wnut17', { split: 'train' }, 3394],
  ['token-classification', 'wnut17', 'wnut17', { split: 'validation' }, 1009],
  // 1,841 by its makers, who count the 145 lines that mark documents.
  ['token-classification', 'wikigold', 'wikigold', {}, 1841 - 145],
  ['extractive-qa', 'squad-v2', 'squad-v2/dev-v2.0.json.gz', {}, 6078],
  ['extractive-qa', 'covid-qa', 'covid-qa', {}, 1380],
]

const missing = !existsSync(data)

describe.skipIf(missing)('known data sets (needs ../shared/data)', () => {
  it.each(sets)('%s %s from %s %o has %i records', async (type, dataset, path, settings, count) => {
    const task = tasks[type] as unknown as TaskDefinition
    const { records, report } = await task.read(join(data, path), taskConfig(task, { ...settings }, dataset))
    expect(records.length).toBe(count)
    expect(report.skipped).toEqual({})
    expect(new Set(records.map(({ id }) => id)).size).toBe(count)
  })

  it('SQuAD has 2,910 questions with answers, which windows reproduce exactly', async () => {
    const task = tasks['extractive-qa']
    const config = taskConfig(task, {}, 'squad-v2')
    const { records } = await task.read(join(data, 'squad-v2/dev-v2.0.json.gz'), config)
    expect(records.filter(({ answers }) => answers!.length > 0).length).toBe(2910)
    const tokenizer = await loadTokenizer(join(vocab, 'bert_base_cased_vocab.txt'))
    const prepared = expectDiscriminative(task.prepare(tokenizer, config, { maxLength: 384, headOptions: {} }))
    let exact = 0
    let asked = 0
    for (const record of records.slice(0, 1500)) {
      const outputs = prepared.encode(record).map((example) => {
        // Logits of a model that knows the answer.
        const logits = new Float32Array(2 * example.ids.length)
        const [first, last] = example.answer!
        logits[2 * first] = logits[2 * last + 1] = 10
        return { example, logits }
      })
      const { answer } = prepared.decode(record, outputs)
      asked++
      if (record.answers!.length === 0 ? answer === '' : answer === record.answers![0].text) exact++
    }
    // A few answers begin or end inside a token.
    expect(exact / asked).toBeGreaterThan(0.97)
  })

  it("predictions of SQuAD's check files get the scores of the official script", async () => {
    const task = tasks['extractive-qa']
    const config = taskConfig(task, {}, 'squad-v2')
    const at = (name: string) => join(data, 'squad-v2', name)
    const { records } = await task.read(at('dev-v2.0.json.gz'), config)
    const predictions = await readPredictions(at('check-predictions.json.gz'), task as never, records, config, {
      noAnswer: at('check-na-prob.json.gz'),
    })
    const { with_na_prob: wanted } = JSON.parse(readFileSync(at('check-official-scores.json'), 'utf8'))
    const scores = scoreRecords(task, records, predictions as never, config).scores()
    const close = (got: number, official: number) => expect(100 * got).toBeCloseTo(official, 9)
    close(scores.exactMatch, wanted.exact)
    close(scores.f1, wanted.f1)
    close(scores.hasAnswerExactMatch, wanted.HasAns_exact)
    close(scores.hasAnswerF1, wanted.HasAns_f1)
    close(scores.noAnswerExactMatch, wanted.NoAns_exact)
    close(scores.noAnswerF1, wanted.NoAns_f1)
    close(scores.bestExactMatch, wanted.best_exact)
    close(scores.bestF1, wanted.best_f1)
    expect(scores.bestExactMatchThreshold).toBe(wanted.best_exact_thresh)
    expect(scores.bestF1Threshold).toBe(wanted.best_f1_thresh)
  })

  it('texts have the special tokens of the tokenizer, truncated or not', async () => {
    const tokenizer = await loadTokenizer(join(vocab, 'bert_base_uncased_vocab.txt'))
    for (const dataset of ['rte', 'cola']) {
      const task = tasks['sequence-classification']
      const config = taskConfig(task, dataset === 'cola' ? { split: 'validation' } : {}, dataset)
      const { records } = await task.read(join(data, dataset), config)
      const prepared = task.prepare(tokenizer, config, {
        maxLength: 40,
        headOptions: task.headOptions(statisticsOf(task, records), config),
      })
      for (const record of records.slice(0, 400)) {
        const [{ ids, typeIds }] = prepared.encode(record)
        const { text, pair } = record
        const wanted = tokenizer.encode(text, {
          ...(pair === undefined ? {} : { pair }),
          truncation: { maxLength: 40 },
        })
        expect(Array.from(ids)).toEqual(wanted.ids)
        expect(Array.from(typeIds!)).toEqual(wanted.typeIds)
      }
    }
  })
})
