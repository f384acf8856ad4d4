// Exact duplicates: documents with equal text, or equal up to case, punctuation and white space.

import { z } from 'zod'
import { defineDeduplicator } from './deduplicator.ts'
import { createKeyedKeys, equalKeysPlan, findEqualKeys, keyedColumns } from './keyed.ts'
import { keepRules } from './queries.ts'

const config = z.strictObject({
  compare: z
    .enum(['text', 'words'])
    .default('text')
    .describe('what to compare; text: every character; words: letters and digits in lower case'),
  keep: z.enum(keepRules).default('first').describe('document to keep among equal ones'),
  scoreField: z.string().default('qualityScore').describe('metadata field for `keep: score`'),
})

export const exact = defineDeduplicator({
  type: 'exact',
  config,
  source: 'document hashes as in huggingface/datatrove ExactDedup',
  summary: 'Drops documents whose text equals that of a kept one.',
  unit: 'document',
  reason: 'exact-duplicate',
  keyColumns: () => keyedColumns,
  createKeys: ({ compare, scoreField }) =>
    createKeyedKeys(scoreField, ({ text }) => (compare === 'text' ? text : wordsOf(text))),
  plan: ({ keep }) => equalKeysPlan(keep),
  find: (options, { keep }) => findEqualKeys(options, keep),
})

const wordsOf = (text: string): string =>
  text
    .toLowerCase()
    .split(/[^\p{L}\p{M}\p{N}]+/u)
    .filter((word) => word !== '')
    .join(' ')
