// Comma-separated values by RFC 4180: quoted fields with commas, line ends and doubled quotes.

import { DataError } from '../../core/index.ts'

/** Rows of fields; throws DataError when a quote stays open. */
export const parseCsv = (content: string, path: string): string[][] => {
  const rows: string[][] = []
  let row: string[] = []
  let at = 0
  let line = 1
  while (at < content.length) {
    let field: string
    if (content[at] === '"') {
      const opened = line
      const parts: string[] = []
      at++
      for (;;) {
        const quote = content.indexOf('"', at)
        if (quote === -1) {
          throw new DataError('Expected a closing quote, got the end of the file. Mend the field.', path, opened)
        }
        parts.push(content.slice(at, quote))
        at = quote + 1
        if (content[at] !== '"') break
        parts.push('"')
        at++
      }
      field = parts.join('')
      line += field.split('\n').length - 1
      // What follows a closing quote up to the comma belongs to the field, as most readers have it.
      const end = endOfField(content, at)
      field += content.slice(at, end)
      at = end
    } else {
      const end = endOfField(content, at)
      field = content.slice(at, end)
      at = end
    }
    row.push(field)
    if (content[at] === ',') {
      at++
      if (at < content.length) continue
      row.push('')
    }
    if (content[at] === '\r' && content[at + 1] === '\n') at++
    at++
    line++
    if (row.length > 1 || row[0] !== '') rows.push(row)
    row = []
  }
  return rows
}

const fieldEnd = /,|\r?\n/g

const endOfField = (content: string, from: number): number => {
  fieldEnd.lastIndex = from
  return fieldEnd.exec(content)?.index ?? content.length
}
