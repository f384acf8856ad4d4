// JSON lines: one object per line, with the text in one of its fields.

import { z } from 'zod'
import { DataError, parseJson, show } from '../../core/index.ts'
import { type ByteStream, decodeUtf8, openBytes, splitLines } from '../../files/index.ts'
import { defineSource, maximumBytes, type SourceContext, type SourceRecord, scalarMetadata } from './source.ts'

export const recordConfig = {
  textField: z.string().default('text').describe('field with the text'),
  idField: z.string().default('id').describe('field with a unique id; records without it get their number'),
  metadata: z.boolean().default(true).describe('other string and number fields as metadata'),
}

const config = z.strictObject({
  ...recordConfig,
  maxLineBytes: maximumBytes(64, 'maximum bytes per line; longer ones are rejected'),
})

/** Reads JSON lines from any stream; `path` names it. */
export async function* readJsonl(
  bytes: ByteStream,
  path: string,
  options: z.output<typeof config>,
  { signal }: SourceContext,
): AsyncGenerator<SourceRecord> {
  let lines = 0
  for await (const line of splitLines(bytes, options.maxLineBytes)) {
    signal?.throwIfAborted()
    const source = { path, offset: line.offset }
    lines++
    if (line.bytes === undefined) {
      yield { reason: 'too-large', source, detail: `line ${line.number} of ${line.length} bytes` }
      continue
    }
    const text = decodeUtf8(line.bytes)
    if (text === undefined) yield { reason: 'invalid-utf8', source, detail: `line ${line.number}` }
    else if (text.trim() !== '') yield parseLine(text, line.number, source, options)
  }
  if (lines === 0) throw new DataError('Expected JSON lines, got an empty file. Check the path.', path)
}

const parseLine = (
  line: string,
  number: number,
  source: { path: string; offset: number },
  options: z.output<typeof config>,
): SourceRecord => {
  let record: unknown
  try {
    record = parseJson(line)
  } catch (error) {
    return { reason: 'broken-json', source, detail: `line ${number}: ${(error as Error).message.slice(0, 220)}` }
  }
  if (typeof record !== 'object' || record === null || Array.isArray(record)) {
    return { reason: 'not-an-object', source, detail: `line ${number}` }
  }
  return toDocument(record as Record<string, unknown>, number, source, options)
}

/** The document of a record with named fields, or a reject. */
export const toDocument = (
  record: Record<string, unknown>,
  number: number,
  source: { path: string; offset: number },
  config: { textField: string; idField: string; metadata: boolean },
): SourceRecord => {
  const text = record[config.textField]
  if (typeof text !== 'string') {
    const has = Object.hasOwn(record, config.textField)
      ? `has ${show(text)} in "${config.textField}"`
      : `has no field "${config.textField}", only ${Object.keys(record).slice(0, 20).join(', ')}`
    return { reason: 'no-text-field', source, detail: `record ${number} ${has}` }
  }
  if (text.trim() === '') return { reason: 'empty', source, detail: `record ${number}` }
  const id = record[config.idField]
  return {
    text: text.replace(/\p{Surrogate}/gu, '\ufffd'),
    id: (typeof id === 'string' && id !== '') || typeof id === 'number' ? String(id) : String(number),
    metadata: config.metadata ? scalarMetadata(record, config.textField) : {},
    source,
  }
}

/** JSON lines, the format of most published corpora. */
export const jsonl = defineSource({
  type: 'jsonl',
  config,
  summary: 'JSON lines, one object per document',
  extensions: ['.jsonl', '.ndjson', '.json'],
  open: (path, options, context) => readJsonl(openBytes({ path, signal: context.signal }), path, options, context),
})
