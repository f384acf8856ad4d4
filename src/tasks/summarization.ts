// Summarisation of texts, conversations and opinions by a prompted decoder or by an encoder-decoder.
// @source Raffel et al. 2020, arXiv:1910.10683 (the prefix); Lin 2004, aclanthology.org/W04-1013 (ROUGE)
import { z } from 'zod'
import { ConfigError, show } from '../core/index.ts'
import type { GeneratedPrediction } from './generative/answer-scores.ts'
import { generationFields, metricsField } from './generative/generation-fields.ts'
import { type GenerativeRecord, generativeTaskParts } from './generative/generative-task.ts'
import { fillPrompt } from './generative/prompt-pattern.ts'
import { type SourceSummary, summaryLayoutNames, summaryLayouts } from './generative/summary-layouts.ts'
import { summaryDatasets } from './records/known-datasets.ts'
import { rowFields } from './records/read-rows.ts'
import { streaming } from './records/record-sink.ts'
import { defineTask, type TaskExample } from './task.ts'

const config = z.strictObject({
  ...rowFields,
  layout: z
    .enum(summaryLayoutNames)
    .default('rows')
    .describe('data layout: rows with columns, the folders of Opinosis, or the meetings of QMSum'),
  text: z.string().default('text').describe('column with the text to summarise'),
  summary: z.string().default('summary').describe('column with the reference summary, or a list of several'),
  prompt: z
    .string()
    .default('Summarize the following text.\n\n{text}')
    .describe('prompt for decoders; {text} is replaced by the text, {query} by the query of data sets with queries'),
  prefix: z.string().default('summarize: ').describe('prefix of the text for encoder-decoders'),
  ...generationFields,
  metrics: metricsField(['rouge1', 'rouge2', 'rougeL', 'rougeLsum']),
})
type Config = z.output<typeof config>

/** A text with its reference summaries. */
export interface SummaryRecord extends GenerativeRecord, SourceSummary {}

/** Summarisation. */
export const summarization = defineTask<Config, SummaryRecord, TaskExample, GeneratedPrediction, 'summarization'>({
  type: 'summarization',
  source: 'arXiv:1910.10683',
  summary: 'a generated summary of a text, optionally for a query',
  config,
  datasets: summaryDatasets,
  dataSettings: [...Object.keys(rowFields), 'layout', 'text', 'summary'],
  ...generativeTaskParts<Config, SummaryRecord>({
    chatPrompt: ({ source, query = '' }, { prompt }) => fillPrompt(prompt, { text: source, query }, 'text'),
    encoderInput: ({ source, query }, { prefix }) => `${prefix}${query === undefined ? '' : `${query} `}${source}`,
    mainMetric: ({ metrics }) => (metrics.includes('rougeL') ? 'rougeL' : (metrics[0] ?? 'perplexity')),
  }),
  read: streaming((path, settings, { labelled = true, ...flow } = {}) =>
    summaryLayouts[settings.layout](path, settings, { labelled, ...flow }),
  ),
  recordFromInput({ text, query }, id) {
    if (typeof text !== 'string' || text.trim() === '')
      throw new ConfigError(`Expected a text for \`text\`, got ${show(text)}.`)
    const queryField = typeof query === 'string' ? { query } : {}
    return { id, file: 'input', line: undefined, source: text, ...queryField, references: [] }
  },
})
