// Questions that are answered in words of one's own, with or without a text that the answer is in; numbers may be all that counts.
// @source Cobbe et al. 2021, arXiv:2110.14168; Ben Abacha and Demner-Fushman 2019, arXiv:1901.08079
import { z } from 'zod'
import { ConfigError, show } from '../core/index.ts'
import type { AnswerPrediction } from './conversation/answer-scores.ts'
import { askAbout } from './conversation/ask-about.ts'
import { metricsField, writingFields } from './conversation/generation-fields.ts'
import { type WritingRecord, writingParts } from './conversation/generative-task.ts'
import { type AskedText, questionLayoutNames, questionLayouts } from './conversation/question-layouts.ts'
import { questionDatasets } from './declarations.ts'
import { rowFields } from './reading/read-rows.ts'
import { defineTask, type TaskExample } from './task.ts'

const config = z.strictObject({
  ...rowFields,
  layout: z
    .enum(questionLayoutNames)
    .default('rows')
    .describe('of the data: rows with columns, or the XML files of MedQuAD in a folder or an archive'),
  question: z.string().default('question').describe('column with the question'),
  context: z.string().optional().describe('column with a text that the answer is in'),
  answer: z.string().default('answer').describe('column with the answer, or with a list of several'),
  prompt: z
    .string()
    .optional()
    .describe('what decoders are asked; {question} and {context} stand for the texts; the question alone unless given'),
  prefix: z.string().default('question: ').describe('what stands before the question for encoders with a decoder'),
  ...writingFields,
  metrics: metricsField(['rougeL', 'tokenF1']),
})
type Config = z.output<typeof config>

export interface AskedRecord extends WritingRecord, AskedText {}

export const generativeQa = defineTask<Config, AskedRecord, TaskExample, AnswerPrediction>({
  type: 'generative-qa',
  source: 'arXiv:2110.14168',
  summary: 'a written answer to a question, with or without a text that it is in',
  config,
  datasets: questionDatasets,
  ...writingParts<Config, AskedRecord>({
    question({ question, context }, { prompt }) {
      const pattern = prompt ?? (context === undefined ? '{question}' : '{context}\n\n{question}')
      // Without a text there is nothing that may be shortened but the question itself.
      return context === undefined
        ? askAbout(pattern, { question, context: '' }, 'question')
        : askAbout(pattern, { question, context }, 'context')
    },
    input: ({ question, context }, { prefix }) =>
      `${prefix}${question}${context === undefined ? '' : ` context: ${context}`}`,
    mainMetric: ({ metrics }) => metrics[0] ?? 'perplexity',
  }),
  read: (path, settings, { labelled = true, signal } = {}) =>
    questionLayouts[settings.layout](path, settings, { labelled, signal }),
  ask({ text, question = text, context }, id) {
    if (typeof question !== 'string' || question.trim() === '')
      throw new ConfigError(`Expected a question for \`question\`, got ${show(question)}.`)
    const about = typeof context === 'string' && context.trim() !== '' ? { context } : {}
    return { id, file: 'input', line: undefined, question, ...about, references: [] }
  },
})
