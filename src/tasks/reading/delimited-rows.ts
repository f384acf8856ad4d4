// Comma and tab separated values: a quoted field may hold delimiters, doubled quotes and line breaks (RFC 4180). With tabs, quotes
// are text unless asked otherwise, as in GLUE's files. Where a .csv file's first line has no comma, its semicolons, tabs or bars are the
// delimiter, as in the exports of spreadsheets. Columns without a name are called 0, 1, 2 … Knows no column.
import { DataError } from '../../core/index.ts'
import { textLines } from '../../files/index.ts'
import type { DataRow, RowContext, RowFormat } from './row.ts'

const maxRecordLength = 2 ** 26

/** @param delimiters the first one, unless only another stands in the first line */
const delimitedRows = (...delimiters: [string, ...string[]]) =>
  async function* rows(file: string, context: RowContext): AsyncGenerator<DataRow> {
    const { faults, header, quotes, signal } = context
    let delimiter: string | undefined
    let quoted = false
    let names: readonly string[] | undefined
    /** Lines of a record whose quoted field is open. */
    let held: string[] = []
    let heldLength = 0
    let first = 0
    for await (const { text, number } of textLines(file, signal)) {
      if (held.length === 0) first = number
      if (delimiter === undefined) {
        if (text.trim() === '') continue
        delimiter = delimiters.find((one) => text.includes(one)) ?? delimiters[0]
        quoted = quotes === 'read' || (quotes === 'auto' && delimiter !== '\t')
      }
      held.push(text)
      heldLength += text.length + 1
      // Only a quote closes what is open: without one there is nothing to look for, however long it has become.
      const fields =
        held.length > 1 && !text.includes('"') ? undefined : splitFields(held.join('\n'), delimiter, quoted)
      if (fields === undefined) {
        if (heldLength > maxRecordLength) break
        continue
      }
      held = []
      heldLength = 0
      if (fields.length === 1 && fields[0].trim() === '') continue
      if (names === undefined && header) {
        names = headerNames(fields, file, number)
        continue
      }
      const columns: readonly string[] = names ?? fields.map((_, i) => String(i))
      if (fields.length === columns.length)
        yield { values: Object.fromEntries(columns.map((name, i) => [name, fields[i]])), file, line: first }
      else
        faults.fault(
          {
            reason: 'wrong-columns',
            message: `Expected ${columns.length} columns, as in the header, got ${fields.length}. Check delimiters and quotes.`,
          },
          { file, line: first },
        )
    }
    if (held.length > 0)
      faults.fault(
        {
          reason: 'unclosed-quote',
          message: `Expected a closing ", got the end of the file. Quote it as "", or read with \`quotes\` literal.`,
        },
        { file, line: first },
      )
  }

const headerNames = (fields: readonly string[], file: string, line: number): string[] => {
  const names = fields.map((name, i) => name.trim() || String(i))
  if (names.some((name) => /[^\r]\r/.test(name)))
    throw new DataError(
      'Expected lines that end in a line feed, got carriage returns alone. Convert the line ends of the file.',
      file,
      line,
    )
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined)
    throw new DataError(
      `Expected columns with names that differ, got \`${twice}\` twice. Where the first line is no header, say header: false.`,
      file,
      line,
    )
  return names
}

/** The fields of a record, or undefined while a quoted one is open. */
const splitFields = (text: string, delimiter: string, quoted: boolean): string[] | undefined => {
  if (!quoted || !text.includes('"')) return text.split(delimiter)
  const fields: string[] = []
  for (let at = 0; ; ) {
    let field = ''
    if (text[at] === '"') {
      let from = at + 1
      for (;;) {
        const quote = text.indexOf('"', from)
        if (quote < 0) return undefined
        field += text.slice(from, quote)
        from = quote + 1
        if (text[from] !== '"') break
        field += '"'
        from++
      }
      at = from
    }
    // What stands after a closing quote is kept, as spreadsheets do.
    const next = text.indexOf(delimiter, at)
    fields.push(field + (next < 0 ? text.slice(at) : text.slice(at, next)))
    if (next < 0) return fields
    at = next + delimiter.length
  }
}

export const csv: RowFormat = { extensions: ['.csv'], rows: delimitedRows(',', ';', '\t', '|') }
export const tsv: RowFormat = { extensions: ['.tsv'], rows: delimitedRows('\t') }
