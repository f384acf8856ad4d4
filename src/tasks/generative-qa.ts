// Generative question answering, with or without a context; answers may be compared by their number only.
// @source Cobbe et al. 2021, arXiv:2110.14168; Ben Abacha and Demner-Fushman 2019, arXiv:1901.08079
import { z } from 'zod'
import { ConfigError, show } from '../core/index.ts'
import type { GeneratedPrediction } from './generative/answer-scores.ts'
import { generationFields, metricsField } from './generative/generation-fields.ts'
import { type GenerativeRecord, generativeTaskParts } from './generative/generative-task.ts'
import { fillPrompt } from './generative/prompt-pattern.ts'
import { type QuestionAnswer, questionLayoutNames, questionLayouts } from './generative/question-layouts.ts'
import { questionDatasets } from './records/known-datasets.ts'
import { rowFields } from './records/read-rows.ts'
import { streaming } from './records/record-sink.ts'
import { defineTask, type TaskExample } from './task.ts'

const config = z.strictObject({
  ...rowFields,
  layout: z
    .enum(questionLayoutNames)
    .default('rows')
    .describe('data layout: rows with columns, or the XML files of MedQuAD in a folder or an archive'),
  question: z.string().default('question').describe('column with the question'),
  context: z.string().optional().describe('column with a context for the answer'),
  answer: z.string().default('answer').describe('column with the reference answer, or a list of several'),
  prompt: z
    .string()
    .optional()
    .describe(
      'prompt for decoders; {question} and {context} are replaced by the texts (default: context, then question)',
    ),
  prefix: z.string().default('question: ').describe('prefix of the question for encoder-decoders'),
  ...generationFields,
  metrics: metricsField(['rougeL', 'tokenF1']),
})
type Config = z.output<typeof config>

/** A question with its reference answers. */
export interface GenerativeQaRecord extends GenerativeRecord, QuestionAnswer {}

/** Generative question answering. */
export const generativeQa = defineTask<Config, GenerativeQaRecord, TaskExample, GeneratedPrediction, 'generative-qa'>({
  type: 'generative-qa',
  source: 'arXiv:2110.14168',
  summary: 'a generated answer to a question, with or without a context',
  config,
  datasets: questionDatasets,
  dataSettings: [...Object.keys(rowFields), 'layout', 'question', 'context', 'answer'],
  ...generativeTaskParts<Config, GenerativeQaRecord>({
    chatPrompt({ question, context }, { prompt }) {
      const pattern = prompt ?? (context === undefined ? '{question}' : '{context}\n\n{question}')
      // Without a context only the question itself can be truncated.
      return context === undefined
        ? fillPrompt(pattern, { question, context: '' }, 'question')
        : fillPrompt(pattern, { question, context }, 'context')
    },
    encoderInput: ({ question, context }, { prefix }) =>
      `${prefix}${question}${context === undefined ? '' : ` context: ${context}`}`,
    mainMetric: ({ metrics }) => metrics[0] ?? 'perplexity',
  }),
  read: streaming((path, settings, { labelled = true, ...flow } = {}) =>
    questionLayouts[settings.layout](path, settings, { labelled, ...flow }),
  ),
  recordFromInput({ text, question = text, context }, id) {
    if (typeof question !== 'string' || question.trim() === '')
      throw new ConfigError(`Expected a question for \`question\`, got ${show(question)}.`)
    const contextField = typeof context === 'string' && context.trim() !== '' ? { context } : {}
    return { id, file: 'input', line: undefined, question, ...contextField, references: [] }
  },
})
