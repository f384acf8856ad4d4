// The options of decontamination: which test sets, how overlap is found, what happens to a document with overlap.

import { z } from 'zod'

export const testSetFormats = ['auto', 'jsonl', 'json', 'squad', 'csv', 'tsv', 'text'] as const

export const testSetOptions = z.strictObject({
  path: z.string().min(1).describe('the file, plain or gzip'),
  name: z.string().optional().describe('its name in reports; the file name unless given'),
  format: z.enum(testSetFormats).default('auto').describe('auto goes by the file name and, for JSON, the content'),
  fields: z
    .array(z.string().min(1))
    .optional()
    .describe('fields or columns with text (a.b for nested ones, numbers from 0 without header); all unless given'),
  header: z.boolean().default(true).describe('the first row of CSV and TSV names the columns'),
})
export type TestSetOptions = z.input<typeof testSetOptions>

export const decontaminationOptions = z.strictObject({
  nGram: z
    .union([z.literal('auto'), z.number().int().min(2).max(100)])
    .default('auto')
    .describe('words of an overlap; auto: the 5th percentile of the lengths of the set, within minNGram and maxNGram'),
  minNGram: z.number().int().min(2).max(100).default(8).describe('least n of auto'),
  maxNGram: z.number().int().min(2).max(100).default(13).describe('greatest n of auto'),
  wholeItems: z
    .boolean()
    .default(true)
    .describe('also find items shorter than n words that stand whole in a document, from minNGram words on'),
  exactOnly: z.boolean().default(false).describe('find whole items only, whatever their length, instead of n-grams'),
  policy: z.enum(['cut', 'drop']).default('cut').describe('cut the overlap out, as GPT-3, or drop the document'),
  window: z.number().int().min(0).default(200).describe('characters cut before and after an overlap'),
  minPiece: z.number().int().min(0).default(200).describe('shorter pieces of a cut document are dropped'),
  maxPieces: z.number().int().min(1).default(10).describe('a document cut into more pieces is dropped'),
  maxDocuments: z
    .number()
    .int()
    .min(1)
    .default(10)
    .describe('overlaps found in more documents are common phrases and ignored'),
})
export type DecontaminationOptions = z.input<typeof decontaminationOptions>
export type ResolvedDecontaminationOptions = z.output<typeof decontaminationOptions>
