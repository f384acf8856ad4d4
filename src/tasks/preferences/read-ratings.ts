// Reads rated answers: messages or a prompt and a completion, with a label; or compared answers, of which the best are good and the
// others bad.

import { show } from '../../core/index.ts'
import { systemTurn } from '../generative/conversations.ts'
import { turnsFrom } from '../generative/messages.ts'
import { isEmptyTurn, splitLastAnswer } from '../generative/turns.ts'
import { fault, firstColumn, flagOf, setColumns } from '../records/columns.ts'
import type { DataRow } from '../records/row.ts'
import type { ReadOptions, TaskData } from '../task.ts'
import { type ComparisonSettings, comparisonFormOf, siftedComparisons } from './read-comparisons.ts'
import { expectFewDropped, readSifted } from './sift.ts'
import {
  alike,
  checkPrompt,
  drop,
  isEmpty,
  keyOf,
  otherFields,
  type PromptText,
  type RatingRecord,
  type Sifted,
  textOrTurns,
} from './texts.ts'

/** Settings of `readRatings`. */
export interface RatingSettings extends ComparisonSettings {
  completion: readonly string[]
  label: string
}

interface Rated {
  prompt: PromptText
  completion: PromptText
  good: boolean
  /** Of compared answers: those of one prompt stay together when data is split. */
  group?: string
}

/**
 * The prompt and the answer of a row with messages, or with a prompt and a completion.
 * @param part of the recipe that has the settings, for messages
 */
export const answerIn = (
  { values }: DataRow,
  { prompt, messages, completion, texts }: Pick<RatingSettings, 'prompt' | 'messages' | 'completion' | 'texts'>,
  part: 'settings' | 'columns',
): Sifted<{ prompt: PromptText; completion: PromptText }> => {
  const list = messages.find((name) => Array.isArray(values[name]))
  const answer = firstColumn(values, completion)
  if (list !== undefined && answer === undefined) {
    const turns = turnsFrom(values[list], list)
    if ('fault' in turns) return turns
    const last = turns.value.at(-1)
    if (last?.role === 'assistant' && isEmptyTurn(last))
      return drop('empty-answer', 'Expected an answer with text, got an empty one.')
    const split = splitLastAnswer([...systemTurn(values), ...turns.value])
    if ('fault' in split) return split
    return {
      value: { prompt: split.value.turns, completion: [split.value.answer] },
    }
  }
  const column = firstColumn(values, prompt) ?? list
  if (column === undefined || answer === undefined)
    return fault(
      'no-answer',
      `Expected columns ${messages.join(' or ')}, or ${prompt[0]} with ${completion.join(' or ')}, got ${Object.keys(values).slice(0, 20).join(', ')}. ${setColumns(part, ['prompt', 'completion'])}`,
    )
  const question = textOrTurns(values[column], column)
  if ('fault' in question) return question
  const found = textOrTurns(values[answer], answer)
  if ('fault' in found) return found
  if (isEmpty(found.value)) return drop('empty-answer', 'Expected an answer with text, got an empty one.')
  const same = alike(question.value, [found.value], texts !== 'turns')
  const checked = checkPrompt(same.prompt)
  return 'fault' in checked ? checked : { value: { prompt: checked.value, completion: same.answers[0] } }
}

const ratingsIn = (row: DataRow, settings: RatingSettings): Sifted<Rated>[] => {
  const { values } = row
  if (comparisonFormOf(values, settings) !== undefined && values[settings.label] === undefined)
    return siftedComparisons(row, settings).flatMap((one): Sifted<Rated>[] => {
      if (!('value' in one)) return [one]
      const { prompt, answers } = one.value
      const best = Math.max(...answers.map(({ score }) => score))
      const group = keyOf(prompt)
      return answers.map(({ completion, score }) => ({ value: { prompt, completion, good: score === best, group } }))
    })
  const good = flagOf(values[settings.label])
  if (good === undefined)
    return [
      fault(
        'no-label',
        `Expected true or false in column "${settings.label}", got ${show(values[settings.label])}. ${setColumns('columns', ['label'])}`,
      ),
    ]
  const answer = answerIn(row, settings, 'columns')
  return ['value' in answer ? { value: { ...answer.value, good } } : answer]
}

/**
 * Answers that were rated good or bad. Of compared answers, the best ones are good and the others bad.
 * @throws DataError with file and line for broken records unless `onFault` is skip, and where `maxSkipped` is exceeded
 */
export const readRatings = async (
  path: string,
  settings: RatingSettings,
  { signal }: Pick<ReadOptions, 'signal'> = {},
): Promise<TaskData<RatingRecord>> => {
  const { prompt, messages, completion, label, chosen, rejected, margin, answers } = settings
  const known = new Set([...prompt, ...messages, ...completion, ...answers, label, chosen, rejected, margin, 'system'])
  const data = await readSifted(
    path,
    settings,
    {
      part: 'columns',
      sifted: (row) => ratingsIn(row, settings),
      more: ({ values }) => ({ fields: otherFields(values, known) }),
    },
    signal,
  )
  expectFewDropped(data, settings.maxSkipped, path)
  return { records: data.records, report: data.report }
}
