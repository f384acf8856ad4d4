// Any metric of generated texts as a reward: exact match, F1 of words, ROUGE, BLEU and registered ones, against the reference of the prompt.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { findTextMetric, type MetricOptions, textMetricNames } from '../../tasks/index.ts'
import { columnField, referencesOf } from './reference.ts'
import { defineReward, type ScoreFunction, scoreEach } from './reward.ts'

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
