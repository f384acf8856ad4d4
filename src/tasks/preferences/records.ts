// Records of alignment: answers that were compared, answers that were rated, and prompts to answer.
import type { Turn } from '../generative/turns.ts'
import type { TaskRecord } from '../task.ts'

/** A prompt or an answer: raw text, or turns of a conversation. */
export type PromptText = string | readonly Turn[]

/** Two answers to a prompt, of which one is better. The answers are of the same kind as the prompt: text, or turns. */
export interface PreferenceRecord extends TaskRecord {
  /** Raw text, or the turns up to the last question. */
  prompt: PromptText
  /** The better answer: raw text, or one turn of the assistant. */
  chosen: PromptText
  /** The worse answer. */
  rejected: PromptText
  /** How much better the chosen answer is, where the data says so: a difference of scores or of ranks. */
  margin?: number
  /** Columns of the row that no form reads, such as a category. */
  fields: { readonly [column: string]: unknown }
}

/** An answer to a prompt that was found good or bad. */
export interface RatingRecord extends TaskRecord {
  prompt: PromptText
  completion: PromptText
  good: boolean
}

/** A prompt to answer, with the reference answer where the data has one. */
export interface PromptRecord extends TaskRecord {
  prompt: PromptText
  /** The right answer, for rewards that compare. */
  reference?: string
  /** The row, for rewards that need more of it. */
  fields: { readonly [column: string]: unknown }
}

/** The turns of raw text or of a conversation, for tasks that need turns. */
export const turnsOf = (text: PromptText, role: 'user' | 'assistant'): readonly Turn[] =>
  typeof text === 'string' ? [{ role, content: text }] : text
