// Comma and tab separated values with a header line, streaming: quoted fields may hold delimiters and line breaks (RFC 4180);
// a quote that is never closed costs the line that it stands in, no more.
import { z } from 'zod'
import { DataError } from '../../core/index.ts'
import { type ByteStream, openBytes, splitLines } from '../../files/index.ts'
import { decodePlainBytes } from '../extract/charset.ts'
import { recordConfig, toDocument } from './jsonl.ts'
import { defineSource, type SourceContext, type SourceRecord } from './source.ts'

const config = z.strictObject({
  ...recordConfig,
  delimiter: z
    .enum(['auto', 'comma', 'tab', 'semicolon', 'pipe'])
    .default('auto')
    .describe('auto takes the one that occurs most in the first line'),
  quotes: z
    .enum(['auto', 'read', 'literal'])
    .default('auto')
    .describe('Whether " quotes a field; auto says yes but for tabs, where they are text by custom'),
  header: z.boolean().default(true).describe('The first line names the fields; without it they are called 0, 1, 2 …'),
  maxRecordBytes: z
    .number()
    .int()
    .positive()
    .default(16 * 1024 * 1024)
    .describe('A longer record is rejected'),
})

type CsvConfig = z.output<typeof config>

const delimiters = { comma: ',', tab: '\t', semicolon: ';', pipe: '|' }

interface HeldLine {
  text: string
  offset: number
  number: number
}

/** Reads separated values from any stream; `path` names it. */
export async function* readCsv(
  bytes: ByteStream,
  path: string,
  options: CsvConfig,
  { signal }: SourceContext,
): AsyncGenerator<SourceRecord> {
  let delimiter = options.delimiter === 'auto' ? undefined : delimiters[options.delimiter]
  let quoted = options.quotes === 'read'
  let names: string[] | undefined
  let held: HeldLine[] = [] // lines of a record whose quote is still open
  let heldBytes = 0
  let any = false

  const toRecord = (fields: string[], { offset, number }: HeldLine): SourceRecord | undefined => {
    const source = { path, offset }
    if (names === undefined) {
      names = options.header ? fields.map((name) => name.trim()) : fields.map((_, index) => String(index))
      if (options.header && !names.includes(options.textField)) {
        throw new DataError(
          `Expected a column "${options.textField}" for \`textField\`, got ${names.slice(0, 20).join(', ')}. Name the column that holds the text.`,
          path,
          number,
        )
      }
      if (options.header) return undefined
    }
    if (fields.length === 1 && fields[0].trim() === '') return undefined
    if (fields.length !== names.length) {
      return {
        reason: 'wrong-columns',
        source,
        detail: `record at line ${number}: ${fields.length}, not ${names.length}`,
      }
    }
    const record: Record<string, string> = {}
    names.forEach((name, index) => {
      record[name] = fields[index]
    })
    return toDocument(record, number, source, options)
  }
  const releaseHeld = function* (): Generator<SourceRecord> {
    // The quote was a stray one: each line by itself, so that only those with open quotes are lost.
    for (const line of held) {
      const fields = splitFields(line.text, delimiter!, quoted)
      const record = fields === undefined ? undefined : toRecord(fields, line)
      if (record !== undefined) yield record
      else if (fields === undefined) {
        yield { reason: 'unclosed-quote', source: { path, offset: line.offset }, detail: `line ${line.number}` }
      }
    }
    held = []
    heldBytes = 0
  }

  for await (const line of splitLines(bytes, options.maxRecordBytes)) {
    signal?.throwIfAborted()
    any = true
    const source = { path, offset: line.offset }
    if (line.bytes === undefined) {
      yield* releaseHeld()
      yield { reason: 'too-large', source, detail: `line ${line.number} of ${line.length} bytes` }
      continue
    }
    const text = decodePlainBytes(line.bytes).text
    if (delimiter === undefined) delimiter = guessDelimiter(text)
    if (options.quotes === 'auto') quoted = delimiter !== '\t'
    const current = { text, offset: line.offset, number: line.number }
    if (held.length === 0) {
      const fields = splitFields(text, delimiter, quoted)
      if (fields !== undefined) {
        const record = toRecord(fields, current)
        if (record !== undefined) yield record
        continue
      }
      held = [current]
      heldBytes = line.length
      continue
    }
    held.push(current)
    heldBytes += line.length + 1
    if (heldBytes > options.maxRecordBytes) yield* releaseHeld()
    // Only a line with a quote can close the field.
    else if (text.includes('"')) {
      const fields = splitFields(held.map((part) => part.text).join('\n'), delimiter, quoted)
      if (fields === undefined) continue
      const record = toRecord(fields, held[0])
      held = []
      if (record !== undefined) yield record
    }
  }
  yield* releaseHeld()
  if (!any) throw new DataError('Expected separated values, got an empty file. Check the path.', path)
}

const guessDelimiter = (line: string): string => {
  let best = ','
  let most = 0
  for (const delimiter of Object.values(delimiters)) {
    const count = line.split(delimiter).length - 1
    if (count > most) {
      best = delimiter
      most = count
    }
  }
  return best
}

/** The fields of a record, or undefined when a quoted field is not closed. */
const splitFields = (text: string, delimiter: string, quoted: boolean): string[] | undefined => {
  if (!quoted || !text.includes('"')) return text.split(delimiter)
  const fields: string[] = []
  let at = 0
  for (;;) {
    if (text[at] === '"') {
      let field = ''
      let from = at + 1
      for (;;) {
        const quote = text.indexOf('"', from)
        if (quote < 0) return undefined
        field += text.slice(from, quote)
        if (text[quote + 1] === '"') {
          field += '"'
          from = quote + 2
          continue
        }
        at = quote + 1
        break
      }
      const next = text.indexOf(delimiter, at)
      field += next < 0 ? text.slice(at) : text.slice(at, next) // text after the closing quote is kept
      fields.push(field)
      if (next < 0) return fields
      at = next + 1
    } else {
      const next = text.indexOf(delimiter, at)
      fields.push(next < 0 ? text.slice(at) : text.slice(at, next))
      if (next < 0) return fields
      at = next + 1
    }
  }
}

/** CSV and TSV files. */
export const csv = defineSource({
  type: 'csv',
  config,
  summary: 'Comma or tab separated values with a header line',
  extensions: ['.csv', '.tsv'],
  open: (path, options, context) => readCsv(openBytes({ path, signal: context.signal }), path, options, context),
})
