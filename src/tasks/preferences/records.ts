// Records of alignment: answers that were compared, answers that were rated, and prompts to answer.
import type { Turn } from '../generative/turns.ts'
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
