// Comma and tab separated values with a header line, streaming. A quote that is never closed loses its own line only.
import { z } from 'zod'
import { DataError } from '../../core/index.ts'
import { type ByteStream, DelimitedParser, openBytes, splitLines } from '../../files/index.ts'
import { decodePlainBytes } from '../extract/charset.ts'
import { recordConfig, toDocument } from './jsonl.ts'
import { defineSource, maximumBytes, type SourceContext, type SourceRecord } from './source.ts'

const config = z.strictObject({
  ...recordConfig,
  delimiter: z
    .enum(['auto', 'comma', 'tab', 'semicolon', 'pipe'])
    .default('auto')
    .describe('delimiter of fields; auto: the most frequent one in the first line'),
  quotes: z
    .enum(['auto', 'read', 'literal'])
    .default('auto')
    .describe('meaning of " at the start of a field; auto: read, except with tabs, where it is literal'),
  header: z
    .boolean()
    .default(true)
    .describe('column names in the first line; without them, columns are called 0, 1, 2 …'),
  maxRecordBytes: maximumBytes(16, 'maximum bytes per record; longer ones are rejected'),
})

type CsvConfig = z.output<typeof config>

const delimiters = { comma: ',', tab: '\t', semicolon: ';', pipe: '|' }

interface RecordLine {
  text: string
  offset: number
  number: number
}

/** Reads delimited values from any stream; `path` names it. */
export async function* readCsv(
  bytes: ByteStream,
  path: string,
  options: CsvConfig,
  { signal }: SourceContext,
): AsyncGenerator<SourceRecord> {
  let parser: DelimitedParser | undefined
  let names: string[] | undefined
  let openLines: RecordLine[] = [] // lines of a record whose quoted field is still open
  let openLength = 0
  let isEmpty = true

  const toRecord = (fields: string[], { offset, number }: RecordLine): SourceRecord | undefined => {
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
    const source = { path, offset }
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
  /** Reads the lines after an unbalanced quote one by one, so that only those with open quotes are lost. */
  const readOpenLines = function* (): Generator<SourceRecord> {
    for (const line of openLines) {
      parser!.reset()
      const fields = parser!.push(line.text)
      const record = fields === undefined ? undefined : toRecord(fields, line)
      if (record !== undefined) yield record
      else if (fields === undefined)
        yield { reason: 'unclosed-quote', source: { path, offset: line.offset }, detail: `line ${line.number}` }
    }
    parser?.reset()
    openLines = []
    openLength = 0
  }

  for await (const line of splitLines(bytes, options.maxRecordBytes)) {
    signal?.throwIfAborted()
    isEmpty = false
    if (line.bytes === undefined) {
      yield* readOpenLines()
      const source = { path, offset: line.offset }
      yield { reason: 'too-large', source, detail: `line ${line.number} of ${line.length} bytes` }
      continue
    }
    const current = { text: decodePlainBytes(line.bytes).text, offset: line.offset, number: line.number }
    if (parser === undefined) {
      const delimiter = options.delimiter === 'auto' ? guessDelimiter(current.text) : delimiters[options.delimiter]
      parser = new DelimitedParser(
        delimiter,
        options.quotes === 'auto' ? delimiter !== '\t' : options.quotes === 'read',
      )
    }
    if (parser.isOpen && openLength + line.length + 1 > options.maxRecordBytes) {
      openLines.push(current)
      yield* readOpenLines()
      continue
    }
    const fields = parser.push(current.text)
    if (fields === undefined) {
      openLines.push(current)
      openLength += line.length + 1
      continue
    }
    if (parser.hasStrayText) {
      openLines.push(current)
      yield* readOpenLines()
      continue
    }
    const record = toRecord(fields, openLines[0] ?? current)
    openLines = []
    openLength = 0
    if (record !== undefined) yield record
  }
  yield* readOpenLines()
  if (isEmpty) throw new DataError('Expected delimited values, got an empty file. Check the path.', path)
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

/** CSV and TSV files. */
export const csv = defineSource({
  type: 'csv',
  config,
  summary: 'comma or tab separated values with a header line',
  extensions: ['.csv', '.tsv'],
  open: (path, options, context) => readCsv(openBytes({ path, signal: context.signal }), path, options, context),
})
