// Multiple choice: which of several texts fits another one, such as the answer to a question. Each choice is a sequence with a score,
// and a softmax compares the choices of a record. @source Radford et al. 2018 (GPT), section 3.3; Zellers et al. 2018, arXiv:1808.05326

import { z } from 'zod'
import { ConfigError, DataError, show } from '../core/index.ts'
import { createTextEncoder, defaultMaxLength, joinTexts } from '../tokenizers/index.ts'
import { createChoiceCriterion, splitChoices } from './learning/choice-criterion.ts'
import { argmax, rounded, softmax } from './learning/probabilities.ts'
import { ClassScores } from './metrics/class-scores.ts'
import type { Scores } from './metrics/scored-units.ts'
import { type Checked, labelIn, textIn } from './records/columns.ts'
import { allOf, readRecords } from './records/read-records.ts'
import { rowFields } from './records/read-rows.ts'
import { streaming } from './records/record-source.ts'
import { type DataRow, isFields } from './records/row.ts'
import { addOne, countingRecords, mostFrequent, type RecordStatistics } from './records/statistics.ts'
import { defineTask, type TaskExample, type TaskPrediction, type TaskRecord } from './task.ts'

const config = z.strictObject({
  ...rowFields,
  text: z.string().default('text').describe('column with the text that the choices belong to'),
  choices: z
    .union([z.string(), z.array(z.string()).min(2)])
    .default('choices')
    .describe('column with the list of choices, or one column per choice'),
  label: z
    .string()
    .default('label')
    .describe('column with the right choice: its index from 0, a letter from A, or its text'),
})

type Config = z.output<typeof config>

/** A text with its choices. */
export interface ChoiceRecord extends TaskRecord {
  text: string
  choices: readonly string[]
  /** Index of the right choice; undefined where it is not known. */
  answer: number | undefined
}

/** The encoded choices of a record. */
export interface ChoiceExample extends TaskExample {
  answer: number | undefined
}

/** The predicted choice. */
export interface ChoicePrediction extends TaskPrediction {
  /** Index of the choice, from 0. */
  choice: number
  probabilities?: number[]
}

export const multipleChoice = defineTask<
  Config,
  ChoiceRecord,
  ChoiceExample,
  ChoicePrediction,
  'multiple-choice',
  RecordStatistics & { answers: Map<number, number> }
>({
  type: 'multiple-choice',
  source: 'arXiv:1808.05326 (SWAG)',
  summary: 'the right one of several texts for another text',
  config,
  head: 'multiple-choice',
  datasets: {},
  dataSettings: [...Object.keys(rowFields), 'text', 'choices', 'label'],
  mainMetric: () => 'accuracy',
  metricNames: () => ['accuracy', 'calibrationError'],
  read: streaming((path, settings, { labelled = true, ...flow } = {}) => {
    const { text, choices, label } = settings
    const several =
      typeof choices === 'string' ? { choices } : Object.fromEntries(choices.map((name) => [`choices ${name}`, name]))
    return readRecords<Omit<ChoiceRecord, keyof TaskRecord>>(
      path,
      settings,
      {
        columns: { text, ...several, ...(labelled ? { label } : {}) },
        fields(row) {
          const found = allOf<{ text: string; choices: string[] }>({
            text: textIn(row, text),
            choices: choicesOf(row, choices),
          })
          if ('fault' in found) return found
          const answer = labelled ? answerOf(row, label, found.value.choices) : { value: undefined }
          return 'fault' in answer ? answer : { value: { ...found.value, answer: answer.value } }
        },
      },
      flow,
    )
  }),
  answerFields: ['answer'],
  statistics: countingRecords(
    () => ({ answers: new Map<number, number>() }),
    (statistics, { answer }: ChoiceRecord) => {
      if (answer !== undefined) addOne(statistics.answers, answer)
    },
  ),
  recordFromInput({ text, choices }, id) {
    if (typeof text !== 'string' || text.trim() === '')
      throw new ConfigError(`Expected a text for \`text\`, got ${show(text)}.`)
    if (!Array.isArray(choices) || choices.length < 2 || choices.some((choice) => typeof choice !== 'string'))
      throw new ConfigError(`Expected two texts or more for \`choices\`, got ${show(choices)}.`)
    return { id, file: 'input', line: undefined, text, choices: choices as string[], answer: undefined }
  },
  headOptions: () => ({}),
  prepare(tokenizer, _, { maxLength = defaultMaxLength(tokenizer) }) {
    const encodeText = createTextEncoder(tokenizer, maxLength)
    return {
      criterion: createChoiceCriterion<ChoiceExample>(tokenizer.special.pad?.id ?? 0),
      rows: {
        kind: 'choice',
        outputs: 1,
        targets: ({ starts, answer }) =>
          starts.map((_, i) => (answer === undefined ? Number.NaN : Number(i === answer))),
      },
      encode({ text, choices, answer, file, line }) {
        const rows = choices.map((choice) => encodeText(text, choice))
        if (rows.some(({ ids }) => ids.length === 0))
          throw new DataError('Expected texts with at least one token, got none.', file, line)
        return [{ ...joinTexts(rows), answer }]
      },
      split: splitChoices,
      decode: ({ id }, [{ logits }]) => ({
        id,
        choice: argmax(logits),
        probabilities: Array.from(softmax(logits), rounded),
      }),
    }
  },
  parsePrediction(fields, { id, choices }) {
    const given = fields.choice ?? fields.prediction ?? fields.label
    const answer = answerOf({ values: { given }, file: '', line: undefined }, 'given', choices)
    if ('fault' in answer) throw new ConfigError(answer.fault.message)
    return { id, choice: answer.value }
  },
  baselines({ answers }, _, random) {
    const usual = mostFrequent(answers)
    const longest = (choices: readonly string[]) =>
      choices.reduce((best, choice, i) => (choice.length > choices[best].length ? i : best), 0)
    return [
      {
        name: 'most frequent position',
        predict: ({ id, choices }) => ({ id, choice: Math.min(usual, choices.length - 1) }),
      },
      { name: 'longest choice', predict: ({ id, choices }) => ({ id, choice: longest(choices) }) },
      { name: 'random choice', predict: ({ id, choices }) => ({ id, choice: random.integer(choices.length) }) },
    ]
  },
  scorer() {
    const scores = new ClassScores()
    let most = 0
    return {
      add({ answer, choices, file, line }, { choice, probabilities }) {
        if (answer === undefined) throw new DataError('Expected a record with an answer, got one without.', file, line)
        most = Math.max(most, choices.length)
        scores.add(answer, choice, probabilities?.[choice])
      },
      units() {
        const units = scores.units({ labels: Array.from({ length: most }, (_, i) => String(i)) })
        // Positions of choices are not classes: only scores of right and wrong are meaningful.
        return {
          units: units.units,
          scores(counts) {
            const { accuracy, calibrationError } = units.scores(counts)
            const known: Scores = { accuracy }
            if (calibrationError !== undefined) known.calibrationError = calibrationError
            return known
          },
          details: () => ({}),
        }
      },
    }
  },
})

const choicesOf = (row: DataRow, columns: string | readonly string[]): Checked<string[]> => {
  const texts = typeof columns === 'string' ? row.values[columns] : columns.map((column) => row.values[column])
  const list = isFields(texts) ? texts.text : texts
  if (Array.isArray(list) && list.length > 1 && list.every((text) => typeof text === 'string' && text.trim() !== ''))
    return { value: list as string[] }
  return { fault: { reason: 'no-choices', message: `Expected two texts or more for \`choices\`, got ${show(list)}.` } }
}

const answerOf = (row: DataRow, column: string, choices: readonly string[]): Checked<number> => {
  // A number is the index of a choice, whatever the file calls its classes: COPA has choice1 and choice2.
  const { classNames: _, ...numbered } = row
  const written = labelIn(numbered, column)
  if ('fault' in written) return written
  const { value } = written
  const letter = /^[A-Za-z]$/.test(value) ? value.toUpperCase().charCodeAt(0) - 65 : -1
  const number = choices.includes(value) ? choices.indexOf(value) : /^\d+$/.test(value) ? Number(value) : letter
  if (number >= 0 && number < choices.length) return { value: number }
  return {
    fault: {
      reason: 'unknown-label',
      message: `Expected the index, letter or text of one of ${choices.length} choices, got "${value.slice(0, 60)}".`,
    },
  }
}
