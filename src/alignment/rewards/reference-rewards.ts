// Rewards that compare an answer with the reference: its number, or its text by any metric.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { findTextMetric, type MetricOptions, textMetricNames } from '../../tasks/index.ts'
import { defineReward, type RewardSample, type ScoreFunction, scoreEach } from './reward.ts'

const columnField = z
  .string()
  .optional()
  .describe('column with the reference answer (default: the reference of the prompts)')

/** Reference answers of a sample; a column may have a list of several. Empty where the data has none. */
const referencesOf = ({ record }: RewardSample, column: string | undefined): string[] => {
  if (column === undefined) return record.reference === undefined ? [] : [record.reference]
  if (!Object.hasOwn(record.fields, column))
    throw new ConfigError(
      `Expected one of ${Object.keys(record.fields).join(', ') || 'no column, since the data has none'} for \`column\` of the reward, got ${column}.`,
    )
  const value = record.fields[column]
  const values: unknown[] = Array.isArray(value) ? value : [value]
  return values.flatMap((one) =>
    typeof one === 'string' || typeof one === 'number' || typeof one === 'bigint' || typeof one === 'boolean'
      ? [String(one)]
      : [],
  )
}

// @source arXiv:2110.14168
const rules = { value: 0, strict: 1, flexible: 2 } as const

export const numericMatch = defineReward({
  type: 'numeric-match',
  source: 'arXiv:2110.14168',
  summary: 'Whether the number of the answer is that of the reference.',
  readsReference: true,
  config: z.strictObject({
    column: columnField,
    rule: z
      .enum(['value', 'strict', 'flexible'])
      .default('value')
      .describe(
        'comparison: by value, or by the strict or flexible rule of the lm-evaluation-harness for gsm8k, as text',
      ),
    right: z.number().default(1).describe('reward of the right number'),
    wrong: z.number().default(0).describe('reward of another number, or of none'),
  }),
  open({ column, rule, right, wrong }) {
    const measures = findTextMetric('numericMatch')?.create({ stemming: false, normalized: false })
    return {
      score: scoreEach((sample) => {
        const references = referencesOf(sample, column)
        const matches = (prediction: string, against: readonly string[]) =>
          measures?.measure({ prediction, references: against })[rules[rule]] === 1
        // A reference without a number can be matched by nothing, not even by itself.
        const known = rule === 'value' ? references.filter((one) => matches(one, [one])) : references
        if (known.length === 0) return null
        return matches(sample.completion, known) ? right : wrong
      }),
    }
  },
})

/** Rewards of a metric by name. @throws ConfigError for an unknown name */
const metricReward = (name: string, options: MetricOptions, column: string | undefined): ScoreFunction => {
  const metric = findTextMetric(name)
  if (metric === undefined)
    throw new ConfigError(`Expected one of ${textMetricNames().join(', ')} for \`metric\` of the reward, got ${name}.`)
  const { width, measure, scores } = metric.create(options)
  const sign = metric.direction === 'higher' ? 1 : -1
  return scoreEach((sample) => {
    const references = referencesOf(sample, column)
    if (references.length === 0) return null
    const sums = Float64Array.from(measure({ prediction: sample.completion, references })).subarray(0, width)
    return sign * scores(sums, 1)[name]
  })
}

const normalizedField = z
  .boolean()
  .default(true)
  .describe('compare in lower case, without punctuation and articles, as SQuAD')

export const exactMatch = defineReward({
  type: 'exact-match',
  source: 'arXiv:1606.05250',
  summary: 'Whether the answer is equal to the reference, normalised as in the metric of the same name.',
  readsReference: true,
  config: z.strictObject({ column: columnField, normalized: normalizedField }),
  open: ({ column, normalized }) => ({ score: metricReward('exactMatch', { normalized, stemming: false }, column) }),
})

export const textMetric = defineReward({
  type: 'text-metric',
  source: 'the metric',
  summary: 'A metric of generated texts, such as ROUGE or F1 of words, against the reference.',
  readsReference: true,
  config: z.strictObject({
    metric: z.string().describe('name of the metric: rougeL, tokenF1, bleu, chrf … or a registered one'),
    column: columnField,
    normalized: normalizedField,
    stemming: z.boolean().default(true).describe('ROUGE: compare stems of English words'),
  }),
  open: ({ metric, column, normalized, stemming }) => ({
    score: metricReward(metric, { normalized, stemming }, column),
  }),
})
