// Exact duplicates: documents with the same text, to the byte or up to case, punctuation and white space.

import { z } from 'zod'
import { defineDeduplicator } from './deduplicator.ts'
import { createKeyedWriter, findEqualKeys } from './keyed.ts'
import { keepRules } from './queries.ts'

const config = z.strictObject({
  compare: z
    .enum(['text', 'words'])
    .default('text')
    .describe('text: every character; words: letters and digits in lower case'),
  keep: z.enum(keepRules).default('first').describe('which of equal documents stays'),
  scoreField: z.string().default('qualityScore').describe('the metadata field that `keep: score` compares'),
})

export const exact = defineDeduplicator({
  type: 'exact',
  config,
  source: 'document hashes as in huggingface/datatrove ExactDedup',
  summary: 'Drops documents whose text equals that of one that is kept.',
  unit: 'document',
  reason: 'exact-duplicate',
  createWriter: (path, { compare, scoreField }) =>
    createKeyedWriter(path, scoreField, ({ text }) => (compare === 'text' ? text : wordsOf(text))),
  find: (options, { keep }) => findEqualKeys(options, keep),
})

const wordsOf = (text: string): string =>
  text
    .toLowerCase()
    .split(/[^\p{L}\p{M}\p{N}]+/u)
    .filter((word) => word !== '')
    .join(' ')
