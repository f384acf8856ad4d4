// Records of alignment data, and their prompts and answers from the values of columns: text, one message, or a list of messages.
import { show } from '../../core/index.ts'
import { turnFrom, turnsFrom } from '../generative/messages.ts'
import { isEmptyTurn, messageOf, splitLastAnswer, type Turn } from '../generative/turns.ts'
import { type Checked, fault } from '../records/columns.ts'
import { type Fields, isFields, type RecordFault } from '../records/row.ts'
import type { TaskRecord } from '../task.ts'

/** A prompt or an answer: raw text, or turns of a conversation. */
export type PromptText = string | readonly Turn[]

/** Columns of a row that its form does not read, such as a category. */
export interface MoreFields {
  readonly fields: { readonly [column: string]: unknown }
}

/** An answer with its score, of which the higher is better. */
export interface ScoredAnswer {
  /** Raw text, or one turn of the assistant, as the prompt is. */
  completion: PromptText
  score: number
}

/** Answers to one prompt that were compared: two, or a list with scores. */
export interface ComparisonRecord extends TaskRecord, MoreFields {
  /** Raw text, or the turns up to the last question. */
  prompt: PromptText
  /** At least two, which differ, with at least two different scores; a pair has the scores 1 and 0. */
  answers: readonly ScoredAnswer[]
  /** How much better the first answer of a pair is, where a column says so. */
  margin?: number
}

/** Two answers to a prompt, of which one is better. */
export interface PreferenceRecord extends TaskRecord, MoreFields {
  /** Raw text, or the turns up to the last question. */
  prompt: PromptText
  /** The better answer: raw text, or one turn of the assistant, as the prompt is. */
  chosen: PromptText
  /** The worse answer. */
  rejected: PromptText
  /** How much better the chosen answer is, where a column says so. */
  margin?: number
}

/** An answer to a prompt that was found good or bad. */
export interface RatingRecord extends TaskRecord, MoreFields {
  prompt: PromptText
  completion: PromptText
  good: boolean
}

/** A prompt to answer, with the reference answer where the data has one. */
export interface PromptRecord extends TaskRecord {
  prompt: PromptText
  /** The right answer, for rewards that compare. */
  reference?: string
  /** The whole row, for rewards that need more of it. */
  fields: { readonly [column: string]: unknown }
}

/** The turns of raw text or of a conversation. */
export const turnsOf = (text: PromptText, role: 'user' | 'assistant'): readonly Turn[] =>
  typeof text === 'string' ? [{ role, content: text }] : text

/** The contents as one text, in which length is counted. */
export const contentOf = (text: PromptText): string =>
  typeof text === 'string' ? text : text.map(({ content }) => content).join('\n\n')

/** A value, the fault of a broken record, or why a record that is not broken teaches nothing. */
export type Sifted<Value> = Checked<Value> | { drop: RecordFault }

/** Why a record teaches nothing. @param reason a short name that is counted, such as `tie` */
export const drop = (reason: string, message: string): { drop: RecordFault } => ({ drop: { reason, message } })

/** A text as it is, or the turns of one message or of several. */
export const textOrTurns = (value: unknown, column: string): Checked<PromptText> => {
  if (typeof value === 'string') return { value }
  if (Array.isArray(value)) return turnsFrom(value, column)
  if (isFields(value)) {
    const turn = turnFrom(value)
    return 'fault' in turn ? turn : { value: [turn.value] }
  }
  return fault('no-text', `Expected text or messages in column "${column}", got ${show(value)}.`)
}

/** Two texts or conversations in the same form: text stays text only if both are and `raw` is set. */
export const alike = (
  prompt: PromptText,
  answers: readonly PromptText[],
  raw: boolean,
): { prompt: PromptText; answers: PromptText[] } =>
  raw && typeof prompt === 'string' && answers.every((answer) => typeof answer === 'string')
    ? { prompt, answers: [...answers] }
    : { prompt: turnsOf(prompt, 'user'), answers: answers.map((answer) => turnsOf(answer, 'assistant')) }

export const isEmpty = (text: PromptText): boolean =>
  typeof text === 'string' ? text.trim() === '' : text.every(isEmptyTurn)

/** A text by which equal ones are found. */
export const keyOf = (text: PromptText): string =>
  typeof text === 'string'
    ? `text ${text.trim()}`
    : JSON.stringify(text.map((turn) => ({ ...messageOf(turn), content: turn.content.trim() })))

/** Checks that a prompt is a conversation up to a question. Faults: roles out of order, empty answers. */
export const checkPrompt = (prompt: PromptText): Checked<PromptText> => {
  if (isEmpty(prompt)) return fault('empty-text', 'Expected a prompt with text, got an empty one.')
  if (typeof prompt === 'string') return { value: prompt }
  // The check needs a complete conversation: a placeholder stands for the answer.
  const checked = splitLastAnswer([...prompt, { role: 'assistant', content: '?' }])
  return 'fault' in checked ? checked : { value: checked.value.turns }
}

const sameTurn = (a: Turn | undefined, b: Turn | undefined) =>
  a !== undefined && b !== undefined && JSON.stringify(messageOf(a)) === JSON.stringify(messageOf(b))

/**
 * Dialogues that differ in their last answer only: what they share, and that answer of each.
 */
export const partDialogues = (
  dialogues: readonly [readonly Turn[], readonly Turn[]],
): Sifted<{ prompt: readonly Turn[]; answers: Turn[][] }> => {
  const [first, second] = dialogues
  let shared = 0
  while (sameTurn(first[shared], second[shared])) shared++
  if (shared === first.length && shared === second.length)
    return drop('identical-answers', 'Expected two different dialogues, got the same twice.')
  const answers = dialogues.map((turns) => turns.slice(shared))
  const odd = answers.find((turns) => turns.length !== 1 || turns[0].role !== 'assistant')
  if (odd === undefined) return { value: { prompt: first.slice(0, shared), answers } }
  return drop(
    'dialogues-part-early',
    `Expected dialogues that differ in their last answer only, got ones that part at turn ${shared} of ${first.length} and ${second.length}.`,
  )
}

const speakers = /\n\n(Human|Assistant):/g

/** Whether a text is a dialogue in the form of Anthropic's data. */
export const isDialogue = (value: unknown): value is string => typeof value === 'string' && /^\s*Human:/.test(value)

/**
 * The turns of a dialogue with "\n\nHuman:" and "\n\nAssistant:". What a speaker says in several turns in a row is one turn.
 * @source Bai et al. 2022, arXiv:2204.05862
 */
export const dialogueTurns = (text: string): Turn[] => {
  const whole = `\n\n${text.trimStart()}`
  const marks = [...whole.matchAll(speakers)]
  const turns: Turn[] = []
  for (const [i, mark] of marks.entries()) {
    const role = mark[1] === 'Human' ? 'user' : 'assistant'
    const content = whole.slice(mark.index + mark[0].length, marks[i + 1]?.index).trim()
    const before = turns.at(-1)
    if (before?.role === role) before.content = [before.content, content].filter((one) => one !== '').join('\n\n')
    else turns.push({ role, content })
  }
  return turns
}

/** The columns of a row that were not read, as plain values. */
export const otherFields = (values: Fields, read: ReadonlySet<string>): Fields =>
  Object.fromEntries(
    Object.entries(values)
      .filter(([name, value]) => !read.has(name) && !ArrayBuffer.isView(value))
      .map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
  )
