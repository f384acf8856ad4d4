// Summaries of texts, conversations and opinions; by a decoder that is asked for one, or by an encoder with a decoder.
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
import { defineTask, type TaskExample } from './task.ts'

const config = z.strictObject({
  ...rowFields,
  layout: z
    .enum(summaryLayoutNames)
    .default('rows')
    .describe('of the data: rows with columns, the folders of Opinosis, or the meetings of QMSum'),
  text: z.string().default('text').describe('column with what is summarised'),
  summary: z.string().default('summary').describe('column with the summary, or with a list of several'),
  prompt: z
    .string()
    .default('Summarize the following text.\n\n{text}')
    .describe(
      'what decoders are asked; {text} stands for the text, {query} for what is asked of it, where data has that',
    ),
  prefix: z.string().default('summarize: ').describe('what stands before the text for encoders with a decoder'),
  ...generationFields,
  metrics: metricsField(['rouge1', 'rouge2', 'rougeL', 'rougeLsum']),
})
type Config = z.output<typeof config>

export interface SummaryRecord extends GenerativeRecord, SourceSummary {}

export const summarization = defineTask<Config, SummaryRecord, TaskExample, GeneratedPrediction, 'summarization'>({
  type: 'summarization',
  source: 'arXiv:1910.10683',
  summary: 'a summary of a text, or of what a question asks about it',
  config,
  datasets: summaryDatasets,
  ...generativeTaskParts<Config, SummaryRecord>({
    chatPrompt: ({ source, query = '' }, { prompt }) => fillPrompt(prompt, { text: source, query }, 'text'),
    encoderInput: ({ source, query }, { prefix }) => `${prefix}${query === undefined ? '' : `${query} `}${source}`,
    mainMetric: ({ metrics }) => (metrics.includes('rougeL') ? 'rougeL' : (metrics[0] ?? 'perplexity')),
  }),
  read: (path, settings, { labelled = true, signal } = {}) =>
    summaryLayouts[settings.layout](path, settings, { labelled, signal }),
  recordFromInput({ text, query }, id) {
    if (typeof text !== 'string' || text.trim() === '')
      throw new ConfigError(`Expected a text for \`text\`, got ${show(text)}.`)
    const asked = typeof query === 'string' ? { query } : {}
    return { id, file: 'input', line: undefined, source: text, ...asked, references: [] }
  },
})
