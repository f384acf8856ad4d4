// The options of decontamination, and the texts of test sets in JSON lines, JSON, SQuAD, CSV, TSV and plain text files, in
// memory.

import { basename } from 'node:path'
import { z } from 'zod'
import { DataError, parseConfig, parseJson } from '../../core/index.ts'
import { parseDelimited, wholeFile } from '../../files/index.ts'
import { decodePlainBytes } from '../extract/charset.ts'

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

/** One text of a test set; `item` is its row, 1-based, or its id in SQuAD files. */
interface TestItem {
  readonly item: string
  readonly field: string
  readonly text: string
}

export interface TestSet {
  readonly name: string
  readonly path: string
  readonly items: readonly TestItem[]
}

const maxBytes = 512 * 2 ** 20

/** The texts of a test set. @throws DataError with file and line when it is damaged, lacks a field or has no text */
export const readTestSet = async (options: TestSetOptions): Promise<TestSet> => {
  const { path, name, format, fields, header } = parseConfig(testSetOptions, options, 'decontaminate')
  const content = decodePlainBytes(await wholeFile(path, { maxBytes })).text
  const readJson = () => parseJson(content, { path, advice: () => 'Check `format`.' })
  const readers = {
    jsonl: () => fromJsonLines(content, path, fields),
    json: () => fromJson(readJson(), path, fields),
    squad: () => fromSquad(readJson(), path, fields),
    csv: () => fromTable(parseDelimited(content, path), path, { fields, header }),
    tsv: () => fromTable(parseDelimited(content, path, { delimiter: '\t', quoted: false }), path, { fields, header }),
    text: () => fromText(content),
  }
  const items = readers[format === 'auto' ? guessFormat(path, content) : format]()
  if (items.length === 0) {
    throw new DataError('Expected texts in a test set, got none. Check its format and `fields`.', path)
  }
  return { name: name ?? basename(path).replace(/\.gz$/, ''), path, items }
}

const guessFormat = (path: string, content: string): 'jsonl' | 'json' | 'squad' | 'csv' | 'tsv' | 'text' => {
  const ending = /\.(\w+?)(?:\.gz)?$/i.exec(path)?.[1].toLowerCase()
  if (ending === 'jsonl' || ending === 'ndjson') return 'jsonl'
  if (ending === 'csv') return 'csv'
  if (ending === 'tsv') return 'tsv'
  if (ending === 'json') return /^\s*\{[^[{]*"data"\s*:\s*\[/.test(content.slice(0, 10_000)) ? 'squad' : 'json'
  return 'text'
}

const fromJsonLines = (content: string, path: string, fields?: readonly string[]): TestItem[] => {
  const items: TestItem[] = []
  for (const [index, line] of content.split('\n').entries()) {
    if (line.trim() === '') continue
    const value = parseJson(line, { path, line: index + 1, advice: () => 'Mend or remove the line.' })
    addTexts(items, value, String(index + 1), path, fields)
  }
  return items
}

const fromJson = (value: unknown, path: string, fields?: readonly string[]): TestItem[] => {
  const items: TestItem[] = []
  const rows = Array.isArray(value)
    ? value.map((row, index) => [String(index + 1), row] as const)
    : Object.entries((value ?? {}) as object)
  for (const [item, row] of rows) addTexts(items, row, item, path, fields)
  return items
}

/** Adds the requested fields of a row, or every string in it. */
const addTexts = (items: TestItem[], row: unknown, item: string, path: string, fields?: readonly string[]): void => {
  if (fields === undefined) {
    for (const [field, text] of strings(row, '')) items.push({ item, field, text })
    return
  }
  for (const field of fields) {
    const value = field.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], row)
    if (value === undefined) {
      throw new DataError(`Expected the field \`${field}\` in item ${item}, got none. Check \`fields\`.`, path)
    }
    for (const [, text] of strings(value, field)) items.push({ item, field, text })
  }
}

function* strings(value: unknown, field: string, depth = 0): Generator<[field: string, text: string]> {
  if (typeof value === 'string') {
    if (value.trim() !== '') yield [field, value]
  } else if (typeof value === 'object' && value !== null && depth < 20) {
    for (const [key, inner] of Object.entries(value)) {
      yield* strings(inner, Array.isArray(value) ? field : field === '' ? key : `${field}.${key}`, depth + 1)
    }
  }
}

interface SquadFile {
  data: {
    paragraphs: { context: string; qas: { id: string | number; question: string; answers?: { text: string }[] }[] }[]
  }[]
}

const squadFields = ['context', 'question', 'answers']

const fromSquad = (value: unknown, path: string, fields: readonly string[] = ['context', 'question']): TestItem[] => {
  const unknown = fields.find((field) => !squadFields.includes(field))
  if (unknown !== undefined) {
    throw new DataError(`Expected fields among ${squadFields.join(', ')}, got \`${unknown}\`. Check \`fields\`.`, path)
  }
  const items: TestItem[] = []
  try {
    for (const { paragraphs } of (value as SquadFile).data) {
      for (const { context, qas } of paragraphs) {
        if (fields.includes('context')) items.push({ item: String(qas[0]?.id ?? ''), field: 'context', text: context })
        for (const { id, question, answers = [] } of qas) {
          if (fields.includes('question')) items.push({ item: String(id), field: 'question', text: question })
          if (!fields.includes('answers')) continue
          for (const { text } of answers) items.push({ item: String(id), field: 'answers', text })
        }
      }
    }
  } catch {
    throw new DataError('Expected data[].paragraphs[].qas[] as in SQuAD, got another structure. Set `format`.', path)
  }
  if (items.some(({ text }) => typeof text !== 'string')) {
    throw new DataError('Expected texts in context and question, got other values. Set `format`.', path)
  }
  return items
}

const fromTable = (
  rows: readonly string[][],
  path: string,
  { fields, header }: { fields?: readonly string[]; header: boolean },
): TestItem[] => {
  const width = rows.reduce((most, row) => Math.max(most, row.length), 0)
  const names = Array.from({ length: width }, (_, i) => (header ? (rows[0][i] ?? String(i)) : String(i)))
  const columns = (fields ?? names).map((field) => {
    const column = names.indexOf(field)
    if (column === -1) {
      throw new DataError(
        `Expected the column \`${field}\`, got ${names.join(', ')}. Check \`fields\` and \`header\`.`,
        path,
      )
    }
    return { field, column }
  })
  const items: TestItem[] = []
  for (const [index, row] of rows.slice(header ? 1 : 0).entries()) {
    for (const { field, column } of columns) {
      const text = row[column] ?? ''
      if (text.trim() !== '') items.push({ item: String(index + 1), field, text })
    }
  }
  return items
}

/** Paragraphs between empty lines, or lines when there are none. */
const fromText = (content: string): TestItem[] => {
  const parts = /\n\s*\n/.test(content) ? content.split(/\n\s*\n/) : content.split('\n')
  return parts.flatMap((text, index) =>
    text.trim() === '' ? [] : [{ item: String(index + 1), field: 'text', text: text.trim() }],
  )
}
