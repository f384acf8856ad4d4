// The answer to a question as a span of a text, or that there is none: SQuAD 1.1 and 2.0. Long texts become windows that overlap; the
// best spans of all windows are compared by the sum of their borders' scores, and the answer of none by that of the first token.
// @source Devlin et al. 2019, arXiv:1810.04805, sections 4.2 and 4.3

import { z } from 'zod'
import { ConfigError, DataError, show } from '../core/index.ts'
import { expandFiles } from '../files/index.ts'
import { randomItem } from './evaluation/baselines.ts'
import { bestSpans } from './learning/answer-spans.ts'
import { rounded, sigmoid, softmax } from './learning/probabilities.ts'
import { createWindows, type QuestionWindow } from './learning/question-windows.ts'
import { createSpanCriterion } from './learning/span-criterion.ts'
import { defaultMaxLength } from './learning/text-encoder.ts'
import { splitPlaces } from './learning/token-criterion.ts'
import { AnswerScores, spanScoreNames } from './metrics/answer-scores.ts'
import { type Checked, expectColumns } from './records/columns.ts'
import { readJson } from './records/json-rows.ts'
import { answerDatasets } from './records/known-datasets.ts'
import { FaultCounter, noRecords, type Place } from './records/read-report.ts'
import { filesOfSplit, openRows, rowFields } from './records/read-rows.ts'
import {
  isSquad,
  type QuestionFields,
  type ReferenceAnswer,
  rowQuestion,
  squadQuestions,
} from './records/squad-questions.ts'
import {
  defineTask,
  type ReadOptions,
  type TaskData,
  type TaskExample,
  type TaskPrediction,
  type TaskRecord,
} from './task.ts'

const config = z.strictObject({
  ...rowFields,
  id: z.string().default('id').describe("rows: column with the question's id"),
  question: z.string().default('question').describe('rows: column with the question'),
  context: z.string().default('context').describe('rows: column with the text that it is about'),
  answers: z
    .string()
    .default('answers')
    .describe('rows: column with the answers: `text` and `answer_start`, each or in lists'),
  version: z
    .enum(['1.1', '2.0'])
    .default('2.0')
    .describe("SQuAD's rules: in 1.1 every question has an answer, in 2.0 it may have none"),
  stride: z.int().nonnegative().default(128).describe('tokens that two windows of a long text share'),
  maxQuestionTokens: z.int().positive().default(64).describe('longer questions are cut'),
  maxAnswerTokens: z.int().positive().default(30).describe('longer answers are not considered'),
  nBest: z.int().positive().default(20).describe('first and last tokens that are considered in each window'),
  alternatives: z.int().nonnegative().default(0).describe('answers that predictions show besides the best'),
  nullThreshold: z
    .number()
    .default(0)
    .describe('2.0: no answer is given where its score is higher than that of the best answer by more than this'),
  onMisplaced: z
    .enum(['error', 'skip', 'keep', 'nearest'])
    .default('error')
    .describe(
      'what to do with answers that do not stand where the data says: stop, pass the question over, keep it for scoring only, or take the nearest place where the text stands, if any',
    ),
})

type Config = z.output<typeof config>

export interface QuestionRecord extends TaskRecord, QuestionFields {}

export interface QuestionExample extends TaskExample, Omit<QuestionWindow, 'ids' | 'typeIds'> {
  /** Tokens of the answer's borders, both 0 where this window has none; undefined where it is not known. */
  answer: readonly [first: number, last: number] | undefined
}

export interface SpanPrediction extends TaskPrediction {
  /** Empty for no answer. */
  answer: string
  /** 2.0: how probable it is that there is none. */
  noAnswerProbability?: number
  alternatives?: { answer: string; probability: number }[]
}

export const extractiveQa = defineTask<Config, QuestionRecord, QuestionExample, SpanPrediction, 'extractive-qa'>({
  type: 'extractive-qa',
  source: 'arXiv:1606.05250, arXiv:1806.03822 (SQuAD)',
  summary: 'the answer to a question as a span of a text',
  config,
  head: 'question-answering',
  datasets: answerDatasets,
  mainMetric: () => 'f1',
  metricNames: ({ version }) => spanScoreNames(version === '1.1' ? 1 : 2),
  read: readQuestions,
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
    return {
      criterion: createSpanCriterion<QuestionExample>(tokenizer.special.pad?.id ?? 0),
      encode({ question, context, answers, file, line }) {
        // The first answer is the one that is learnt.
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
        const asks = version === '2.0'
        const texts = spans.map(({ start, end }) => context.slice(start, end))
        const best = spans[0]?.score ?? Number.NEGATIVE_INFINITY
        const shares = softmax([...spans.map(({ score }) => score), ...(asks ? [none] : [])])
        const isNone = spans.length === 0 || (asks && none - best > nullThreshold)
        return {
          id,
          answer: isNone ? '' : texts[0],
          ...(asks ? { noAnswerProbability: spans.length === 0 ? 1 : rounded(sigmoid(none - best)) } : {}),
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
    const said = fields.answer ?? fields.prediction ?? fields.prediction_text
    const none = fields.noAnswerProbability ?? fields.no_answer_probability
    if (typeof said !== 'string') throw new ConfigError(`Expected a text for \`answer\`, got ${show(said)}.`)
    if (none !== undefined && !(typeof none === 'number' && Number.isFinite(none)))
      throw new ConfigError(`Expected a number for \`noAnswerProbability\`, got ${show(none)}.`)
    return { id, answer: said, ...(none === undefined ? {} : { noAnswerProbability: none as number }) }
  },
  baselines(trained, records, { version }, random) {
    const wordsIn = (text: string) => text.split(/\s+/).filter((word) => word !== '')
    const lengths = trained.flatMap(({ answers }) => (answers ?? []).map(({ text }) => wordsIn(text).length))
    const drawn = (context: string): string => {
      const words = wordsIn(context)
      const length = Math.min(lengths.length === 0 ? 1 : randomItem(lengths, random), words.length)
      const from = random.integer(words.length - length + 1)
      return words.slice(from, from + length).join(' ')
    }
    return [
      ...(version === '2.0' ? [{ name: 'no answer', predictions: records.map(({ id }) => ({ id, answer: '' })) }] : []),
      { name: 'random words', predictions: records.map(({ id, context }) => ({ id, answer: drawn(context) })) },
    ]
  },
  score(records, predictions, { version }) {
    const scores = new AnswerScores({ version: version === '1.1' ? 1 : 2 })
    records.forEach(({ answers, file, line }, i) => {
      if (answers === undefined) throw new DataError('Expected records with answers, got one without.', file, line)
      const { answer, noAnswerProbability } = predictions[i]
      scores.add(
        answers.map(({ text }) => text),
        answer,
        noAnswerProbability,
      )
    })
    return scores
  },
})

/** The tokens of [start, end) of the context, or of no answer where the window does not hold all of it. */
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
  { labelled = true, signal }: ReadOptions = {},
): Promise<TaskData<QuestionRecord>> {
  const { limit = Number.POSITIVE_INFINITY, onFault, onMisplaced, split, version, format } = settings
  const faults = new FaultCounter(onFault)
  const misplaced = new FaultCounter(onMisplaced === 'error' ? 'error' : 'skip')
  const records: QuestionRecord[] = []
  const seen = new Set<string>()
  let movedAnswers = 0
  const moved = (answer: ReferenceAnswer): ReferenceAnswer => {
    if (answer.start !== undefined || answer.nearest === undefined) return answer
    movedAnswers++
    return { ...answer, start: answer.nearest }
  }
  const add = (id: string | undefined, found: Checked<QuestionFields>, place: Place): void => {
    if ('fault' in found) {
      faults.fault(found.fault, place)
      return
    }
    const answers = onMisplaced === 'nearest' ? found.value.answers?.map(moved) : found.value.answers
    const name = id ?? String(records.length)
    const wrong = answers?.find(({ start }) => start === undefined)
    if (seen.has(name))
      faults.fault({ reason: 'repeated-id', message: `Expected ids that differ, got "${name}" again.` }, place)
    else if (version === '1.1' && answers?.length === 0)
      faults.fault(
        {
          reason: 'no-answers',
          message: `Expected an answer to question "${name}" by the rules of SQuAD 1.1, got none. Set \`version\` 2.0.`,
        },
        place,
      )
    else {
      if (wrong !== undefined && onMisplaced !== 'keep') {
        misplaced.fault(
          {
            reason: 'answer-not-in-context',
            message: `Expected the answer ${show(wrong.text)} of question "${name}" at its place in the context, got other text there. Correct \`answer_start\`, or say \`onMisplaced\`.`,
          },
          place,
        )
        return
      }
      seen.add(name)
      records.push({ id: name, ...place, ...found.value, answers })
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
          if (records.length >= limit) break
          add(id, found, { file, line: ++number })
        }
        continue
      }
    }
    const source = await openRows(file, settings)
    let first = true
    for await (const row of source.rows(faults, signal)) {
      if (records.length >= limit) break
      const { question, context, answers } = settings
      if (first) expectColumns(row, { question, context, ...(labelled ? { answers } : {}) })
      first = false
      const id = row.values[settings.id] ?? undefined
      add(id === undefined ? undefined : String(id), rowQuestion(row, settings, labelled), {
        file: row.file,
        line: row.line,
      })
    }
  }
  if (records.length === 0) throw noRecords(path, faults, misplaced)
  return {
    records,
    report: {
      files,
      records: records.length,
      skipped: { ...faults.skipped, ...misplaced.skipped },
      ...(movedAnswers > 0 ? { movedAnswers } : {}),
    },
  }
}
