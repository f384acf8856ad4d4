// The options of decontamination: test sets, detection of overlaps, and handling of documents with overlaps.

import { z } from 'zod'

const testSetFormats = ['auto', 'jsonl', 'json', 'squad', 'csv', 'tsv', 'text'] as const

export const testSetOptions = z.strictObject({
  path: z.string().min(1).describe('file of the test set, optionally compressed'),
  name: z.string().optional().describe('name in reports (default: the file name)'),
  format: z
    .enum(testSetFormats)
    .default('auto')
    .describe('file format; auto: by the file name and, for JSON, the content'),
  fields: z
    .array(z.string().min(1))
    .optional()
    .describe('fields or columns with text, a.b for nested ones, numbers from 0 without header (default: all)'),
  header: z.boolean().default(true).describe('column names in the first row of CSV and TSV'),
})
export type TestSetOptions = z.input<typeof testSetOptions>

export const decontaminationOptions = z.strictObject({
  nGram: z
    .union([z.literal('auto'), z.number().int().min(2).max(100)])
    .default('auto')
    .describe('words per n-gram; auto: the 5th percentile of the lengths in the set, within minNGram and maxNGram'),
  minNGram: z.number().int().min(2).max(100).default(8).describe('minimum n for auto'),
  maxNGram: z.number().int().min(2).max(100).default(13).describe('maximum n for auto'),
  wholeItems: z
    .boolean()
    .default(true)
    .describe('search for whole items with fewer than n words, from minNGram words on'),
  exactOnly: z.boolean().default(false).describe('search for whole items only, of any length, instead of n-grams'),
  policy: z
    .enum(['cut', 'drop'])
    .default('cut')
    .describe('handling of an overlap: cut it out, as for GPT-3, or drop the document'),
  window: z.number().int().min(0).default(200).describe('characters to cut before and after an overlap'),
  minPiece: z
    .number()
    .int()
    .min(0)
    .default(200)
    .describe('minimum characters per piece of a cut document; shorter ones are dropped'),
  maxPieces: z
    .number()
    .int()
    .min(1)
    .default(10)
    .describe('maximum pieces per document; documents with more are dropped'),
  maxDocuments: z
    .number()
    .int()
    .min(1)
    .default(10)
    .describe('maximum documents with an overlap; overlaps in more are common phrases and ignored'),
})
export type DecontaminationOptions = z.input<typeof decontaminationOptions>
