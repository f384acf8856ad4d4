// Generative question answering, with or without a context; answers may be compared by their number only.
// @source Cobbe et al. 2021, arXiv:2110.14168; Ben Abacha and Demner-Fushman 2019, arXiv:1901.08079
import { z } from 'zod'
import { ConfigError, show } from '../core/index.ts'
import { packedFiles, strictText, xmlElements } from '../files/index.ts'
import type { GeneratedPrediction } from './generative/answer-scores.ts'
import { generationFields, metricsField } from './generative/generation-fields.ts'
import { type GenerativeRecord, generativeTaskParts } from './generative/generative-task.ts'
import { fillPrompt } from './generative/prompts.ts'
import { type Checked, fault, namedValueIn, textIn } from './records/columns.ts'
import { questionDatasets } from './records/known-datasets.ts'
import { type RecordSettings, readSeveral } from './records/read-records.ts'
import { rowFields } from './records/read-rows.ts'
import { streaming } from './records/record-source.ts'
import { type DataRow, FaultCounter, isFields, noRecords } from './records/row.ts'
import { defineTask, type ReadOptions, type TaskData, type TaskExample, type TaskRecord } from './task.ts'

/** A question with its reference answers. */
export interface GenerativeQaRecord extends GenerativeRecord {
  question: string
  context?: string
}

interface QuestionSettings extends RecordSettings {
  question: string
  context?: string
  answer: string
}

type Read = (
  path: string,
  settings: QuestionSettings,
  options: Pick<ReadOptions<GenerativeQaRecord>, 'signal' | 'onRecord'> & { labelled: boolean },
) => Promise<TaskData<GenerativeQaRecord>>

/** A text or a number, or a list of them. */
const answersOf = (row: DataRow, column: string): Checked<string[]> => {
  const found = namedValueIn(row, column)
  if ('fault' in found) return found
  const { value } = found
  const list = (Array.isArray(value) ? (value as unknown[]) : [value]).map((one) =>
    typeof one === 'number' || typeof one === 'bigint' ? String(one) : one,
  )
  const texts = list.filter((one): one is string => typeof one === 'string' && one.trim() !== '')
  if (texts.length > 0 && texts.length === list.length) return { value: texts.map((text) => text.trim()) }
  return fault('no-answer', `Expected an answer, or a list of them, in column "${column}", got ${show(value)}.`)
}

/** PubMedQA has its paragraphs as a list, or as a list under `contexts`. */
const contextOf = ({ values, ...place }: DataRow, column: string): Checked<string> => {
  const value = values[column]
  const inner = isFields(value) ? (value.contexts ?? value) : value
  return textIn({ values: { [column]: inner }, ...place }, column)
}

const rows: Read = (path, settings, { labelled, ...flow }) => {
  const { question, context, answer } = settings
  return readSeveral<Omit<GenerativeQaRecord, keyof TaskRecord>>(
    path,
    settings,
    {
      columns: { question, context, ...(labelled ? { answer } : {}) },
      datasets: questionDatasets,
      unset: context === undefined ? { context: /^(contexts?|passages?|documents?)$/i } : {},
      several: (row) => {
        const text = textIn(row, question)
        const about = context === undefined ? undefined : contextOf(row, context)
        const answers = labelled ? answersOf(row, answer) : { value: [] }
        for (const one of [text, about, answers]) if (one !== undefined && 'fault' in one) return [one]
        return [
          {
            value: {
              question: (text as { value: string }).value.trim(),
              ...(about === undefined ? {} : { context: (about as { value: string }).value.trim() }),
              references: (answers as { value: string[] }).value,
            },
          },
        ]
      },
    },
    flow,
  )
}

const elements = new Set(['QAPair', 'Question', 'Answer'])

/** Paragraphs stay separate; other white space, such as line breaks of the XML, becomes one space. */
const unwrapped = (text: string): string =>
  text
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replace(/\s+/g, ' ').trim())
    .filter((paragraph) => paragraph !== '')
    .join('\n\n')

/** MedQuAD: a file per document with pairs of a question and an answer. */
const medquad: Read = async (path, { onFault, limit = Number.POSITIVE_INFINITY }, { labelled, signal }) => {
  const files = await packedFiles(path, ['.xml'], signal)
  const faults = new FaultCounter(onFault, 'settings')
  // Not a fault of the copy: the published data has documents without pairs, and answers removed for copyright.
  const lacking = new FaultCounter('skip')
  const records: GenerativeQaRecord[] = []
  for (const { name: inside, file, data } of files) {
    signal?.throwIfAborted()
    const pairs = xmlElements(strictText(data, file), elements, file).filter(({ name }) => name === 'QAPair')
    if (pairs.length === 0)
      lacking.count('no-pairs', 'Expected pairs of a question and an answer, got none.', { file, line: undefined })
    for (const [i, { line, children }] of pairs.entries()) {
      if (records.length >= limit) break
      const place = { file, line }
      const question = children.find(({ name }) => name === 'Question')
      const answer = unwrapped(children.find(({ name }) => name === 'Answer')?.text ?? '')
      const text = unwrapped(question?.text ?? '')
      if (text === '') faults.count('empty-text', 'Expected a pair with a question, got none.', place)
      else if (labelled && answer === '')
        lacking.count('no-answer', `Expected an answer to "${text.slice(0, 60)}", got none.`, place)
      else
        records.push({
          // Ids inside the files repeat in other files.
          id: `${inside.replace(/\.xml$/i, '')}-${i + 1}`,
          ...place,
          question: text,
          references: labelled ? [answer] : [],
        })
    }
  }
  if (records.length === 0) throw noRecords(path, Object.keys(faults.skipped).length > 0 ? faults : lacking)
  const skipped = { ...faults.skipped, ...lacking.skipped }
  return { records, report: { files: [path], records: records.length, skipped } }
}

const questionLayouts = { rows, medquad } as const satisfies Record<string, Read>
type QuestionLayout = keyof typeof questionLayouts
const questionLayoutNames = Object.keys(questionLayouts) as [QuestionLayout, ...QuestionLayout[]]

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
