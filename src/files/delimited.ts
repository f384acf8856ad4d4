// Fields of comma or otherwise delimited values (RFC 4180): a quoted field may contain delimiters, doubled quotes and
// line breaks. Line by line, so that a record of any number of lines takes time linear in its length.
import { DataError } from '../core/index.ts'

const QUOTE = '"'

/** Assembles the fields of records from lines; feed it every line of a file in order. */
export class DelimitedParser {
  readonly #delimiter: string
  readonly #quoted: boolean
  /** Fields of the current record before the open one. */
  #fields: string[] = []
  /** Text so far of a quoted field that is not closed yet. */
  #open: string | undefined
  #hasStrayText = false

  /**
   * @param delimiter text between two fields
   * @param quoted whether `"` at the start of a field quotes it; otherwise quotes are plain text
   */
  constructor(delimiter: string, quoted: boolean) {
    this.#delimiter = delimiter
    this.#quoted = quoted
  }

  /** Whether the lines so far end inside a quoted field. */
  get isOpen(): boolean {
    return this.#open !== undefined
  }

  /**
   * Whether text follows the closing quote of a field of several lines in the last record. That quote then opens a field of
   * its own as a rule: a quote before it was never closed, and swallowed lines.
   */
  get hasStrayText(): boolean {
    return this.#hasStrayText
  }

  /** The fields of the record that this line completes, or undefined while a quoted field is open. */
  push(line: string): string[] | undefined {
    if (this.#open === undefined) this.#hasStrayText = false
    if (this.#open === undefined && !(this.#quoted && line.includes(QUOTE))) return line.split(this.#delimiter)
    let isLong = this.#open !== undefined
    let insideQuotes = this.#open !== undefined
    let field = insideQuotes ? `${this.#open}\n` : ''
    for (let at = 0; ; ) {
      if (!insideQuotes && line[at] === QUOTE) {
        insideQuotes = true
        at++
      }
      while (insideQuotes) {
        const quote = line.indexOf(QUOTE, at)
        if (quote < 0) {
          this.#open = field + line.slice(at)
          return undefined
        }
        field += line.slice(at, quote)
        at = quote + 1
        insideQuotes = line[at] === QUOTE
        if (insideQuotes) {
          field += QUOTE
          at++
        }
      }
      // Text after a closing quote is kept, as spreadsheets do.
      const next = line.indexOf(this.#delimiter, at)
      const rest = next < 0 ? line.slice(at) : line.slice(at, next)
      if (isLong && rest.trim() !== '') this.#hasStrayText = true
      isLong = false
      this.#fields.push(field + rest)
      if (next < 0) return this.#finish()
      at = next + this.#delimiter.length
      field = ''
    }
  }

  /** Forgets an open record. */
  reset(): void {
    this.#finish()
  }

  #finish(): string[] {
    const fields = this.#fields
    this.#fields = []
    this.#open = undefined
    return fields
  }
}

/** Settings of `parseDelimited`. */
export interface DelimitedOptions {
  /** Text between two fields (default: a comma). */
  delimiter?: string
  /** Whether `"` quotes a field (default: true). */
  quoted?: boolean
}

/** What is wrong with a record that has stray text. */
export const STRAY_TEXT =
  'Expected a delimiter after the closing quote of a field of several lines, got text: a quote before it is not closed'

/** All records of a text without its empty lines. @throws DataError with the line of a quote that is never closed */
export const parseDelimited = (
  text: string,
  path: string,
  { delimiter = ',', quoted = true }: DelimitedOptions = {},
): string[][] => {
  const parser = new DelimitedParser(delimiter, quoted)
  const records: string[][] = []
  let firstLine = 1
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (!parser.isOpen) firstLine = index + 1
    const fields = parser.push(line)
    if (parser.hasStrayText) throw new DataError(`${STRAY_TEXT}. Close the field.`, path, firstLine)
    if (fields !== undefined && (fields.length > 1 || fields[0] !== '')) records.push(fields)
  }
  if (parser.isOpen)
    throw new DataError('Expected a closing quote, got the end of the file. Close the field.', path, firstLine)
  return records
}
