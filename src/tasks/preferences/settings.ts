// Settings of reading alignment data: the columns of each form, and what happens to records that teach nothing.
import { z } from 'zod'
import { columnNames } from '../records/columns.ts'
import { rowFields } from '../records/read-rows.ts'
import { comparisonFormNames } from './read-comparisons.ts'
import { promptForms } from './read-prompts.ts'

export const alignmentFields = {
  ...rowFields,
  prompt: columnNames(
    'column with the prompt: text or messages; of several names, the first in the row',
    'prompt',
    'question',
    'instruction',
    'query',
  ),
  messages: columnNames(
    'column with the messages: role and content, or from and value; of several names, the first in the row',
    'messages',
    'conversations',
    'conversation',
  ),
  texts: z
    .enum(['auto', 'raw', 'turns'])
    .default('auto')
    .describe(
      'columns of text: raw (the completion continues the prompt) or turns (question and answer, through the chat template); auto: by the form of the data',
    ),
  maxSkipped: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe(
      'maximum share of records without anything to learn (ties, identical, empty, contradicting or truncated answers) before the run stops with an error',
    ),
}

export const comparisonFields = {
  chosen: z.string().default('chosen').describe('column with the better answer: text, a message, or messages'),
  rejected: z.string().default('rejected').describe('column with the worse answer: text, a message, or messages'),
  margin: z
    .string()
    .default('margin')
    .describe('column with how much better the chosen answer is, if there is one: the loss requires this margin'),
  answers: columnNames(
    'column with a list of answers: texts, or objects with text and score; of several names, the first in the row',
    'answers',
    'completions',
    'responses',
  ),
  scores: z
    .string()
    .default('scores')
    .describe('column with the scores of the answers; higher is better (default: in the answers themselves)'),
  ranks: z.string().default('ranks').describe('column with the ranks of the answers; lower is better'),
  tree: z.string().default('prompt').describe('column with the root message of a tree, whose replies have ranks'),
}

export const ratingFields = {
  completion: columnNames(
    'column with the rated answer; of several names, the first in the row',
    'completion',
    'response',
    'answer',
    'output',
  ),
  label: z
    .string()
    .default('label')
    .describe('column with the rating: true or 1 for a good answer, false or 0 for a bad one'),
}

const promptFields = {
  reference: columnNames(
    'column with the reference answer, if there is one; of several names, the first in the row',
    'reference',
    'answer',
    'solution',
    'target',
  ),
  pattern: z
    .string()
    .optional()
    .describe(
      'text of the prompt with columns in braces, such as "{question} Think step by step." (default: the prompt)',
    ),
}

const comparisonForm = z
  .enum(['auto', ...comparisonFormNames])
  .default('auto')
  .describe(
    'form of a row: pairs (chosen and rejected), dialogues (whole ones, as in hh-rlhf), scores (a list of answers), or a message tree; auto: by the columns',
  )

/** Settings of `readPreferences`. */
export const preferenceSchema = z.strictObject({
  ...alignmentFields,
  ...comparisonFields,
  form: comparisonForm,
  pairs: z
    .enum(['all', 'best-and-worst'])
    .default('all')
    .describe('pairs of a list of answers: each two of different scores, or the best with the worst'),
})

/** Settings of `readRatings`. */
export const ratingSchema = z.strictObject({
  ...alignmentFields,
  ...comparisonFields,
  ...ratingFields,
  form: comparisonForm,
})

/** Settings of `readPrompts`. */
export const promptSchema = z.strictObject({
  ...alignmentFields,
  ...comparisonFields,
  ...promptFields,
  form: z
    .enum(['auto', ...promptForms])
    .default('auto')
    .describe(
      'form of a row: gsm8k, svamp or aqua (word problems), comparisons (the prompt of compared answers), or columns; auto: by the columns',
    ),
})
