// Regression: a number for each text or pair of texts, such as the similarity of two sentences.

import { z } from 'zod'
import { ConfigError, DataError, show } from '../core/index.ts'
import { Tensor } from '../tensor/index.ts'
import { createTextEncoder, defaultMaxLength } from '../tokenizers/index.ts'
import { expectVariedAnswers } from './learning/label-set.ts'
import { rounded } from './learning/probabilities.ts'
import { createRowCriterion, splitRows } from './learning/row-criterion.ts'
import { NumberScores, numberScoreNames } from './metrics/number-scores.ts'
import { type Checked, numberIn } from './records/columns.ts'
import { regressionDatasets } from './records/known-datasets.ts'
import { allOf, readRecords } from './records/read-records.ts'
import { streaming } from './records/record-source.ts'
import {
  type AnswerVariety,
  addAnswer,
  countingRecords,
  noAnswers,
  type RecordStatistics,
  randomItem,
} from './records/statistics.ts'
import { type Texts, textColumns, textFields, textsFromInput, textsOf, unsetPair } from './records/text-columns.ts'
import { defineTask, type TaskExample, type TaskPrediction, type TaskRecord } from './task.ts'

const config = z.strictObject({
  ...textFields,
  label: z.string().default('label').describe('column with the number'),
})

type Config = z.output<typeof config>

/** A text or a pair of texts with its number. */
export interface RegressionRecord extends TaskRecord, Texts {
  /** Undefined where it is not known. */
  value: number | undefined
}

/** An encoded record with its number. */
export interface RegressionExample extends TaskExample {
  value: number | undefined
}

/** The predicted number. */
export interface RegressionPrediction extends TaskPrediction {
  value: number
}

export const regression = defineTask<
  Config,
  RegressionRecord,
  RegressionExample,
  RegressionPrediction,
  'regression',
  RecordStatistics & AnswerVariety & { values: number[] }
>({
  type: 'regression',
  source: 'arXiv:1804.07461 (GLUE)',
  summary: 'a number for each text or pair of texts',
  config,
  head: 'sequence-classification',
  datasets: regressionDatasets,
  dataSettings: [...Object.keys(textFields), 'label'],
  mainMetric: () => 'spearman',
  metricNames: () => [...numberScoreNames],
  read: streaming((path, settings, { labelled = true, ...flow } = {}) => {
    const { label } = settings
    return readRecords<Omit<RegressionRecord, keyof TaskRecord>>(
      path,
      settings,
      {
        columns: { ...textColumns(settings), ...(labelled ? { label } : {}) },
        unset: unsetPair(settings),
        fields: (row) => {
          const all = allOf<{ texts: Texts; value: number | undefined }>({
            texts: textsOf(row, settings),
            value: labelled ? numberIn(row, label) : { value: undefined },
          })
          return 'fault' in all ? all : { value: { ...all.value.texts, value: all.value.value } }
        },
      },
      flow,
    )
  }),
  answerFields: ['value'],
  statistics: countingRecords(
    () => ({ ...noAnswers(), values: [] as number[] }),
    (statistics, { value }: RegressionRecord) => {
      if (value === undefined) return
      addAnswer(statistics, String(value))
      statistics.values.push(value)
    },
  ),
  recordFromInput: (fields, id, settings) => ({
    id,
    file: 'input',
    line: undefined,
    ...textsFromInput(fields, settings),
    value: undefined,
  }),
  headOptions(statistics, { label }) {
    expectVariedAnswers(statistics, 'different numbers')
    return { labels: [label], problemType: 'regression' }
  },
  prepare(tokenizer, _, { maxLength = defaultMaxLength(tokenizer), headOptions }) {
    const encodeText = createTextEncoder(tokenizer, maxLength, headOptions)
    const criterion = createRowCriterion<RegressionExample>({
      term: 'regression',
      head: 'sequence-classification',
      outputs: 'numbers',
      padId: tokenizer.special.pad?.id ?? 0,
      weight: ({ value }) => (value === undefined ? 0 : 1),
      // NaN marks an unknown target.
      targets: (examples, device) =>
        Tensor.from(
          Float32Array.from(examples, ({ value = Number.NaN }) => value),
          { shape: [examples.length], device },
        ),
      loss(logits, targets) {
        const unknown = targets.isnan()
        const squares = logits.squeeze(-1).mseLoss(targets.maskedFill(unknown, 0), { reduction: 'none' })
        return squares.maskedFill(unknown, 0).sum()
      },
      measure: () => ({}),
      describeTarget: ({ value }) => (value === undefined ? 'not known' : String(value)),
    })
    return {
      criterion,
      rows: { kind: 'number', outputs: 1, targets: ({ value = Number.NaN }) => [value] },
      encode(record) {
        const encoded = encodeText(record.text, record.pair)
        if (encoded.ids.length === 0)
          throw new DataError('Expected a text with at least one token, got none.', record.file, record.line)
        return [{ ...encoded, value: record.value }]
      },
      split: splitRows,
      decode: ({ id }, [{ logits }]) => ({ id, value: rounded(logits[0]) }),
    }
  },
  parsePrediction(fields, { id }) {
    const given = fields.value ?? fields.prediction ?? fields.label
    const value: Checked<number> = numberIn({ values: { given }, file: '', line: undefined }, 'given')
    if ('value' in value) return { id, value: value.value }
    throw new ConfigError(`Expected a number for \`value\`, got ${show(given)}.`)
  },
  baselines({ values }, _, random) {
    const mean = rounded(values.reduce((sum, value) => sum + value, 0) / values.length)
    return [
      { name: 'mean', predict: ({ id }) => ({ id, value: mean }) },
      { name: 'random value', predict: ({ id }) => ({ id, value: randomItem(values, random) }) },
    ]
  },
  scorer() {
    const scores = new NumberScores()
    return {
      add({ value, file, line }, prediction) {
        if (value === undefined) throw new DataError('Expected a record with a number, got one without.', file, line)
        scores.add(value, prediction.value)
      },
      units: () => scores,
    }
  },
})
