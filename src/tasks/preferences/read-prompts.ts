// Reads prompts to answer: word problems with reference answers (GSM8K, SVAMP, AQuA), prompts of any other data, or columns filled into
// a pattern.
// @source Cobbe et al. 2021, arXiv:2110.14168; Patel et al. 2021, arXiv:2103.07191; Ling et al. 2017, arXiv:1705.04146

import { show } from '../../core/index.ts'
import { systemTurn } from '../generative/conversations.ts'
import { fillColumns } from '../generative/prompts.ts'
import { answerText, splitLastAnswer } from '../generative/turns.ts'
import { fault, firstColumn, hasValue, setColumns } from '../records/columns.ts'
import type { DataRow, Fields } from '../records/row.ts'
import type { ReadOptions, TaskData } from '../task.ts'
import { type ComparisonSettings, comparisonFormOf, comparisonsIn } from './read-comparisons.ts'
import { readSifted } from './sift.ts'
import {
  checkPrompt,
  otherFields,
  type PromptRecord,
  type PromptText,
  type Sifted,
  textOrTurns,
  turnsOf,
} from './texts.ts'

/** Settings of `readPrompts`. */
export interface PromptSettings extends Omit<ComparisonSettings, 'form'> {
  /** The form of the rows (default: by their columns). */
  form: 'auto' | PromptForm
  reference: readonly string[]
  /** Text of the prompt with columns in braces. */
  pattern?: string
}

interface Asked {
  prompt: PromptText
  reference?: string
}

interface PromptReader {
  /** The text is a question, which goes through a chat template where `texts` does not say otherwise. */
  isQuestion?: boolean
  fits(values: Fields, settings: PromptSettings): boolean
  asked(row: DataRow, settings: PromptSettings): Sifted<Asked>[]
}

const textOf = (value: unknown): string | undefined => {
  if (typeof value === 'string') return value.trim() === '' ? undefined : value.trim()
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : undefined
}

const problem = (texts: readonly unknown[], reference: unknown): Sifted<Asked> => {
  const parts = texts.map(textOf)
  const answer = textOf(reference)
  if (parts.includes(undefined)) return fault('no-text', `Expected a question, got ${show(texts.at(-1))}.`)
  if (answer === undefined) return fault('no-answer', `Expected an answer, got ${show(reference)}.`)
  return { value: { prompt: parts.join(' '), reference: answer } }
}

/** The answer after the last "####", without commas in numbers; the whole text without the mark. */
const marked = (value: unknown): unknown => {
  if (typeof value !== 'string') return value
  const at = value.lastIndexOf('####')
  return at < 0 ? value : value.slice(at + 4).replace(/(?<=\d),(?=\d{3})/g, '')
}

const readers = {
  aqua: {
    isQuestion: true,
    fits: (values) => hasValue(values, 'correct') && Array.isArray(values.options) && hasValue(values, 'question'),
    asked: ({ values }) => {
      const options = Array.isArray(values.options) ? values.options.map(String) : []
      const found = problem([values.question], values.correct)
      if (!('value' in found)) return [found]
      return [{ value: { ...found.value, prompt: `${String(values.question).trim()}\n${options.join('\n')}` } }]
    },
  },
  svamp: {
    isQuestion: true,
    fits: (values) => hasValue(values, 'Body') && hasValue(values, 'Question'),
    asked: ({ values }) => [problem([values.Body, values.Question], values.Answer)],
  },
  gsm8k: {
    isQuestion: true,
    fits: (values) =>
      hasValue(values, 'question') && typeof values.answer === 'string' && values.answer.includes('####'),
    asked: ({ values }) => [problem([values.question], marked(values.answer))],
  },
  comparisons: {
    fits: (values, settings) => comparisonFormOf(values, settings) !== undefined,
    asked: (row, settings) =>
      comparisonsIn(row, { ...settings, form: 'auto' }).map((one) =>
        'value' in one ? { value: { prompt: one.value.prompt } } : one,
      ),
  },
  columns: {
    fits: (values, { prompt, messages }) => firstColumn(values, [...prompt, ...messages]) !== undefined,
    asked: ({ values }, { prompt, messages, reference }) => {
      const column = firstColumn(values, [...prompt, ...messages])
      if (column === undefined)
        return [
          fault(
            'no-text',
            `Expected a prompt in column ${prompt.join(' or ')}, got ${Object.keys(values).slice(0, 20).join(', ')}. ${setColumns('columns', ['prompt'])}`,
          ),
        ]
      const found = textOrTurns(values[column], column)
      if ('fault' in found) return [found]
      const referred = firstColumn(values, reference)
      const right = referred === undefined ? undefined : textOf(marked(values[referred]))
      const turns = typeof found.value === 'string' ? undefined : [...systemTurn(values), ...found.value]
      // An answer at the end of a conversation is the reference, not a part of the prompt.
      const split = turns?.at(-1)?.role === 'assistant' ? splitLastAnswer(turns) : undefined
      if (split !== undefined && 'fault' in split) return [split]
      const answer = right ?? (split === undefined ? undefined : answerText(split.value.answer))
      return [
        {
          value: {
            prompt: split?.value.turns ?? turns ?? found.value,
            ...(answer === undefined ? {} : { reference: answer }),
          },
        },
      ]
    },
  },
} as const satisfies Record<string, PromptReader>

/** Forms of prompts by name. */
export type PromptForm = keyof typeof readers
export const promptForms = Object.keys(readers) as [PromptForm, ...PromptForm[]]

const askedIn = (row: DataRow, settings: PromptSettings): Sifted<Asked>[] => {
  const { texts, pattern } = settings
  const byColumns = promptForms.find((name) => readers[name].fits(row.values, settings)) ?? 'columns'
  const reader: PromptReader = readers[settings.form === 'auto' ? byColumns : settings.form]
  const filled = pattern === undefined ? undefined : fillColumns(pattern, row.values)
  if (filled !== undefined && 'fault' in filled) return [filled]
  return reader.asked(row, settings).map((one): Sifted<Asked> => {
    // A pattern makes the prompt of any row; the form still finds the reference.
    if (!('value' in one) && filled === undefined) return one
    const found = 'value' in one ? one.value : { prompt: '' }
    const prompt = filled?.value ?? found.prompt
    const asTurns = texts === 'turns' || (texts === 'auto' && reader.isQuestion === true)
    const checked = checkPrompt(asTurns ? turnsOf(prompt, 'user') : prompt)
    return 'fault' in checked ? checked : { value: { ...found, prompt: checked.value } }
  })
}

/**
 * Prompts with their reference answers where the data has them.
 * @throws DataError with file and line for broken records unless `onFault` is skip
 */
export const readPrompts = async (
  path: string,
  settings: PromptSettings,
  { signal }: Pick<ReadOptions, 'signal'> = {},
): Promise<TaskData<PromptRecord>> => {
  const { records, report } = await readSifted(
    path,
    settings,
    {
      part: 'columns',
      sifted: (row) => askedIn(row, settings),
      more: ({ values }) => ({ fields: otherFields(values, new Set()) }),
    },
    signal,
  )
  return { records, report }
}
