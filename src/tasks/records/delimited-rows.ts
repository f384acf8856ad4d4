// Comma- and tab-separated values: a quoted field may contain delimiters, doubled quotes and line breaks (RFC 4180). With tabs, quotes
// are plain text by default, as in GLUE's files. Where the first line of a .csv file has no comma, semicolons, tabs or bars are the
// delimiter, as in exports of spreadsheets. Columns without a name are called 0, 1, 2 …
import { DataError } from '../../core/index.ts'
import { DelimitedParser, STRAY_TEXT, textLines } from '../../files/index.ts'
import type { DataRow, RowContext, RowFormat } from './row.ts'

const maxRecordLength = 2 ** 26

/** @param delimiters the first of them that is in the first line, else the first of all */
const delimitedRows = (...delimiters: [string, ...string[]]) =>
  async function* rows(file: string, context: RowContext): AsyncGenerator<DataRow> {
    const { faults, header, quotes, signal } = context
    let parser: DelimitedParser | undefined
    let delimiter = delimiters[0]
    let names: readonly string[] | undefined
    let recordLength = 0
    /** Line where the current record begins. */
    let first = 0
    for await (const { text, number } of textLines(file, signal)) {
      if (parser === undefined) {
        if (text.trim() === '') continue
        delimiter = delimiters.find((one) => text.includes(one)) ?? delimiters[0]
        parser = new DelimitedParser(delimiter, quotes === 'read' || (quotes === 'auto' && delimiter !== '\t'))
      }
      if (!parser.isOpen) {
        first = number
        recordLength = 0
      }
      recordLength += text.length + 1
      const fields = parser.push(text)
      if (fields === undefined) {
        if (recordLength > maxRecordLength) break
        continue
      }
      if (parser.hasStrayText) {
        faults.count('unclosed-quote', `${STRAY_TEXT}. Double the quotes inside fields, or set \`quotes\` literal.`, {
          file,
          line: first,
        })
        continue
      }
      if (fields.length === 1 && fields[0].trim() === '') continue
      if (names === undefined && header) {
        names = headerNames(fields, file, number)
        continue
      }
      const columns: readonly string[] = names ?? fields.map((_, i) => String(i))
      if (fields.length === columns.length)
        yield { values: Object.fromEntries(columns.map((name, i) => [name, fields[i]])), file, line: first, delimiter }
      else
        faults.count(
          'wrong-columns',
          `Expected ${columns.length} columns, as in the header, got ${fields.length}. Check delimiters and quotes.`,
          { file, line: first },
        )
    }
    if (parser?.isOpen)
      faults.count(
        'unclosed-quote',
        `Expected a closing ", got the end of the file. Double the quotes inside fields, or set \`quotes\` literal.`,
        { file, line: first },
      )
  }

const headerNames = (fields: readonly string[], file: string, line: number): string[] => {
  const names = fields.map((name, i) => name.trim() || String(i))
  if (names.some((name) => /[^\r]\r/.test(name)))
    throw new DataError(
      'Expected lines that end in a line feed, got carriage returns alone. Convert the line endings of the file.',
      file,
      line,
    )
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined)
    throw new DataError(
      `Expected distinct column names, got \`${twice}\` twice. If the first line is not a header, set \`header\` false.`,
      file,
      line,
    )
  return names
}

export const csv: RowFormat = { extensions: ['.csv'], rows: delimitedRows(',', ';', '\t', '|') }
export const tsv: RowFormat = { extensions: ['.tsv'], rows: delimitedRows('\t') }
