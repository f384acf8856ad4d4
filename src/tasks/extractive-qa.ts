// Extractive question answering: the answer as a span of a text, or no answer, as in SQuAD 1.1 and 2.0. Long texts become overlapping
// windows; spans of all windows compete by the sum of their start and end logits, and no answer by those of the first token.
// @source Devlin et al. 2019, arXiv:1810.04805, sections 4.2 and 4.3

import { z } from 'zod'
import { ConfigError, DataError, show } from '../core/index.ts'
import { expandFiles } from '../files/index.ts'
import { defaultMaxLength } from '../tokenizers/index.ts'
import { rounded, sigmoid, softmax } from './learning/probabilities.ts'
import { createWindows, defaultStride, type QuestionWindow, roomOfWindow } from './learning/question-windows.ts'
import { bestSpans, createSpanCriterion } from './learning/span-criterion.ts'
import { splitPlaces } from './learning/token-criterion.ts'
import { AnswerScores, spanScoreNames } from './metrics/answer-scores.ts'
import { type Checked, expectColumns, idIn, unreadColumns } from './records/columns.ts'
import { readJson } from './records/json-rows.ts'
import { answerDatasets } from './records/known-datasets.ts'
import { filesOfSplit, openRows, rowFields } from './records/read-rows.ts'
import { RecordSink, streaming } from './records/record-source.ts'
import { FaultCounter, type Place } from './records/row.ts'
import {
  isSquad,
  type QuestionFields,
  type ReferenceAnswer,
  rowQuestion,
  squadQuestions,
} from './records/squad-questions.ts'
import { countingRecords, type RecordStatistics, randomItem } from './records/statistics.ts'
import {
  defineTask,
  type ReadOptions,
  type TaskData,
  type TaskExample,
  type TaskPrediction,
  type TaskRecord,
} from './task.ts'

// Questions of one file are not grouped by a column: nested layouts have none.
const { group: _, ...withoutGroup } = rowFields

const config = z.strictObject({
  ...withoutGroup,
  id: z.string().default('id').describe("column with the question's id, for rows"),
  question: z.string().default('question').describe('column with the question, for rows'),
  context: z.string().default('context').describe('column with the context of the question, for rows'),
  answers: z
    .string()
    .default('answers')
    .describe('column with the answers, for rows: `text` and `answer_start`, single or in lists'),
  version: z
    .enum(['1.1', '2.0'])
    .default('2.0')
    .describe('SQuAD version: in 1.1 every question has an answer, in 2.0 it may have none'),
  stride: z
    .int()
    .nonnegative()
    .optional()
    .describe(
      'overlap of consecutive windows of a long text, in tokens (default: 128, at most half of the tokens next to the question)',
    ),
  maxQuestionTokens: z.int().positive().default(64).describe('maximum tokens of a question; longer ones are truncated'),
  maxAnswerTokens: z.int().positive().default(30).describe('maximum tokens of a predicted answer'),
  nBest: z.int().positive().default(20).describe('start and end candidates per window'),
  alternatives: z.int().nonnegative().default(0).describe('further answers in each prediction'),
  nullThreshold: z
    .number()
    .default(0)
    .describe('version 2.0: predict no answer where its score exceeds that of the best answer by more than this'),
  onMisplaced: z
    .enum(['error', 'skip', 'keep', 'nearest'])
    .default('error')
    .describe(
      'answers that are not at `answer_start`: error, skip the question, keep it for scoring only, or use the nearest occurrence of the text',
    ),
})

type Config = z.output<typeof config>

/** A question with its context and reference answers. */
export interface QuestionRecord extends TaskRecord, QuestionFields {}

/** A question with a window of its context. */
export interface QuestionExample extends TaskExample, Omit<QuestionWindow, 'ids' | 'typeIds'> {
  /** First and last token of the answer; both 0 where this window has none; undefined where the answer is not known. */
  answer: readonly [first: number, last: number] | undefined
}

/** The predicted answer. */
export interface SpanPrediction extends TaskPrediction {
  /** The text; empty for no answer. */
  answer: string
  /** Version 2.0: probability that there is no answer. */
  noAnswerProbability?: number
  alternatives?: { answer: string; probability: number }[]
}

const wordsIn = (text: string) => text.split(/\s+/).filter((word) => word !== '')

export const extractiveQa = defineTask<
  Config,
  QuestionRecord,
  QuestionExample,
  SpanPrediction,
  'extractive-qa',
  RecordStatistics & { lengths: number[] }
>({
  type: 'extractive-qa',
  source: 'arXiv:1606.05250, arXiv:1806.03822 (SQuAD)',
  summary: 'the answer to a question as a span of a text',
  config,
  head: 'question-answering',
  datasets: answerDatasets,
  dataSettings: [...Object.keys(rowFields), 'question', 'context', 'answers', 'onMisplaced'],
  mainMetric: () => 'f1',
  metricNames: ({ version }) => spanScoreNames(version === '1.1' ? 1 : 2),
  read: streaming(readQuestions),
  answerFields: ['answers'],
  statistics: countingRecords(
    () => ({ lengths: [] as number[] }),
    (statistics, { answers = [] }: QuestionRecord) => {
      for (const { text } of answers) statistics.lengths.push(wordsIn(text).length)
    },
  ),
  recordFromInput({ question, context }, id) {
    for (const [name, text] of Object.entries({ question, context }))
      if (typeof text !== 'string' || text.trim() === '')
        throw new ConfigError(`Expected a text for \`${name}\`, got ${show(text)}.`)
    return {
      id,
      file: 'input',
      line: undefined,
      question: String(question),
      context: String(context),
      answers: undefined,
    }
  },
  headOptions: () => ({}),
  prepare(tokenizer, settings, { maxLength = defaultMaxLength(tokenizer) }) {
    const { stride, maxQuestionTokens, version, nBest, maxAnswerTokens, alternatives, nullThreshold } = settings
    const windowsOf = createWindows(tokenizer, { maxLength, stride, maxQuestionTokens })
    const most = Math.floor(roomOfWindow(tokenizer, maxLength) / 2)
    return {
      notes:
        stride === undefined && most < defaultStride
          ? [
              `Windows of long texts share half of their context tokens, at most ${most}, as \`maxLength\` ${maxLength} is too short for the usual ${defaultStride}. \`settings.stride\` sets another number.`,
            ]
          : [],
      criterion: createSpanCriterion<QuestionExample>(tokenizer.special.pad?.id ?? 0),
      encode({ question, context, answers, file, line }) {
        // Training uses the first answer; scoring compares with all.
        const answer = answers?.[0]
        const windows = windowsOf(question, context)
        if (windows[0].contextLength === 0)
          throw new DataError('Expected a context with at least one token, got none.', file, line)
        return windows.map((window) => ({
          ...window,
          starts: [0],
          answer:
            answers === undefined || (answer !== undefined && answer.start === undefined)
              ? undefined
              : answer === undefined
                ? ([0, 0] as const)
                : bordersIn(window, answer.start!, answer.start! + answer.text.trim().length),
        }))
      },
      split: splitPlaces,
      decode({ id, context }, outputs) {
        const spans = bestSpans(outputs, { nBest, maxAnswerTokens })
        const none = outputs.reduce(
          (least, { logits }) => Math.min(least, logits[0] + logits[1]),
          Number.POSITIVE_INFINITY,
        )
        const mayBeUnanswered = version === '2.0'
        const texts = spans.map(({ start, end }) => context.slice(start, end))
        const best = spans[0]?.score ?? Number.NEGATIVE_INFINITY
        const shares = softmax([...spans.map(({ score }) => score), ...(mayBeUnanswered ? [none] : [])])
        const isNone = spans.length === 0 || (mayBeUnanswered && none - best > nullThreshold)
        return {
          id,
          answer: isNone ? '' : texts[0],
          ...(mayBeUnanswered ? { noAnswerProbability: spans.length === 0 ? 1 : rounded(sigmoid(none - best)) } : {}),
          ...(alternatives === 0
            ? {}
            : {
                alternatives: texts
                  .map((answer, i) => ({ answer, probability: rounded(shares[i]) }))
                  .slice(isNone ? 0 : 1, alternatives + (isNone ? 0 : 1)),
              }),
        }
      },
    }
  },
  parsePrediction(fields, { id }) {
    const given = fields.answer ?? fields.prediction ?? fields.prediction_text
    const none = fields.noAnswerProbability ?? fields.no_answer_probability
    if (typeof given !== 'string') throw new ConfigError(`Expected a text for \`answer\`, got ${show(given)}.`)
    if (none !== undefined && !(typeof none === 'number' && Number.isFinite(none)))
      throw new ConfigError(`Expected a number for \`noAnswerProbability\`, got ${show(none)}.`)
    return { id, answer: given, ...(none === undefined ? {} : { noAnswerProbability: none as number }) }
  },
  baselines({ lengths }, { version }, random) {
    const drawn = (context: string): string => {
      const words = wordsIn(context)
      const length = Math.min(lengths.length === 0 ? 1 : randomItem(lengths, random), words.length)
      const from = random.integer(words.length - length + 1)
      return words.slice(from, from + length).join(' ')
    }
    const none = { name: 'no answer', predict: ({ id }: QuestionRecord) => ({ id, answer: '' }) }
    return [
      ...(version === '2.0' ? [none] : []),
      { name: 'random words', predict: ({ id, context }) => ({ id, answer: drawn(context) }) },
    ]
  },
  scorer({ version }) {
    const scores = new AnswerScores({ version: version === '1.1' ? 1 : 2 })
    return {
      add({ answers, file, line }, { answer, noAnswerProbability }) {
        if (answers === undefined) throw new DataError('Expected a record with answers, got one without.', file, line)
        scores.add(
          answers.map(({ text }) => text),
          answer,
          noAnswerProbability,
        )
      },
      units: () => scores,
    }
  },
})

/** First and last token of [start, end) of the context, or [0, 0] where the window does not contain all of it. */
const bordersIn = (
  { offsets, contextAt, contextLength }: QuestionWindow,
  start: number,
  end: number,
): readonly [number, number] => {
  let first = -1
  let last = -1
  for (let i = 0; i < contextLength; i++) {
    const [from, to] = [offsets[2 * i], offsets[2 * i + 1]]
    if (to <= start || from >= end || from === to) continue
    if (first < 0) first = i
    last = i
  }
  const holds = first >= 0 && offsets[0] <= start && offsets[2 * contextLength - 1] >= end
  return holds ? [contextAt + first, contextAt + last] : [0, 0]
}

async function readQuestions(
  path: string,
  settings: Config,
  { labelled = true, signal, onRecord }: ReadOptions<QuestionRecord> = {},
): Promise<TaskData<QuestionRecord>> {
  const { limit = Number.POSITIVE_INFINITY, onFault, onMisplaced, split, version, format } = settings
  const faults = new FaultCounter(onFault, 'settings')
  const misplaced = new FaultCounter(onMisplaced === 'error' ? 'error' : 'skip')
  const sink = new RecordSink<QuestionRecord>({ onRecord })
  const seen = new Set<string>()
  let movedAnswers = 0
  const moved = (answer: ReferenceAnswer): ReferenceAnswer => {
    if (answer.start !== undefined || answer.nearest === undefined) return answer
    movedAnswers++
    return { ...answer, start: answer.nearest }
  }
  const add = (id: string | undefined, found: Checked<QuestionFields>, place: Place): void | Promise<void> => {
    if ('fault' in found) {
      faults.fault(found.fault, place)
      return
    }
    const answers = onMisplaced === 'nearest' ? found.value.answers?.map(moved) : found.value.answers
    const name = id ?? String(sink.count)
    const wrong = answers?.find(({ start }) => start === undefined)
    if (seen.has(name)) faults.count('repeated-id', `Expected distinct ids, got "${name}" again.`, place)
    else if (version === '1.1' && answers?.length === 0)
      faults.count(
        'no-answers',
        `Expected an answer to question "${name}" in SQuAD 1.1, got none. Set \`version\` 2.0.`,
        place,
      )
    else {
      if (wrong !== undefined && onMisplaced !== 'keep') {
        misplaced.count(
          'answer-not-in-context',
          `Expected the answer ${show(wrong.text)} of question "${name}" at its \`answer_start\` in the context, got other text. Correct \`answer_start\`, or set \`onMisplaced\`.`,
          place,
        )
        return
      }
      seen.add(name)
      return sink.add({ id: name, ...place, ...found.value, answers })
    }
  }
  const all = await expandFiles(path, ['.json', '.jsonl', '.parquet', '.csv', '.tsv'])
  const files = filesOfSplit(all, split, path)
  for (const file of files) {
    if (format === 'json' || (format === 'auto' && /\.json(\.\w+)?$/i.test(file))) {
      const content = await readJson(file, signal)
      if (isSquad(content)) {
        let number = 0
        for (const { id, found } of squadQuestions(content, labelled)) {
          if (sink.count >= limit) break
          const wait = add(id, found, { file, line: ++number })
          if (wait !== undefined) await wait
        }
        continue
      }
    }
    const source = await openRows(file, settings)
    let first = true
    for await (const row of source.rows(faults, signal)) {
      if (sink.count >= limit) break
      const { question, context, answers } = settings
      if (first) {
        const columns = { question, context, ...(labelled ? { answers } : {}) }
        expectColumns(row, columns)
        for (const name of unreadColumns(row, { ...columns, id: settings.id }, {}, settings.ignoreColumns))
          sink.unread.add(name)
      }
      first = false
      const id = idIn(row, settings.id)
      const place = { file: row.file, line: row.line }
      if ('fault' in id) faults.fault(id.fault, place)
      else {
        const wait = add(id.value, rowQuestion(row, settings, labelled), place)
        if (wait !== undefined) await wait
      }
    }
  }
  const { records, report } = sink.finish(path, files, faults, misplaced)
  return { records, report: { ...report, ...(movedAnswers > 0 ? { movedAnswers } : {}) } }
}
