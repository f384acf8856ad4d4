// Rows of a wikitext table as lines of text; the caller renders the cells.
import { splitTopLevel } from './brackets.ts'

// Boxes that repeat facts or are navigation.
const skippedClass = /\b(infobox|navbox|metadata|toc|sidebar|vertical-navbox|ambox|mbox|noprint|navigation)\b/i

/** The rows of a table, with cells joined by ` | `, without empty rows and cells. */
export const renderTable = (table: string, renderCell: (source: string) => string): string[] => {
  const body = table.slice(2, -2)
  const firstEnd = body.indexOf('\n')
  if (firstEnd < 0 || skippedClass.test(body.slice(0, firstEnd))) return []
  const rows: string[] = []
  let cells: string[] = []
  let cell: string | undefined
  let nested: string[] = [] // lines of a table inside a cell; its rows follow the row of the cell
  let inner = 0 // depth of such tables

  const endCell = () => {
    if (cell === undefined) return
    const text = renderCell(withoutAttributes(cell))
    if (text !== '') cells.push(text)
    cell = undefined
  }
  const endRow = () => {
    endCell()
    if (cells.length > 0) rows.push(cells.join(' | '))
    cells = []
  }

  for (const line of logicalLines(body.slice(firstEnd + 1))) {
    const start = line.trimStart()
    const opening = /^\|?\s*\{\|/.exec(start)
    if (opening !== null && (inner > 0 || start.startsWith('{|') || opening[0].length > 2)) inner++
    if (inner > 0) {
      nested.push(nested.length === 0 ? start.slice(start.indexOf('{|')) : line)
      if (start.startsWith('|}') && !start.startsWith('|}}') && --inner === 0) {
        endRow()
        rows.push(...renderTable(nested.join('\n'), renderCell))
        nested = []
      }
    } else if (start.startsWith('|-')) endRow()
    else if (start.startsWith('|+')) {
      endRow()
      cell = start.slice(2)
    } else if (start.startsWith('|') && !start.startsWith('|}')) {
      if (cell !== undefined && rows.length === 0 && cells.length === 0) endCell()
      for (const part of splitTopLevel(start.slice(1), '||')) {
        endCell()
        cell = part
      }
    } else if (start.startsWith('!')) {
      for (const part of splitTopLevel(start.slice(1).replaceAll('!!', '||'), '||')) {
        endCell()
        cell = part
      }
    } else if (cell !== undefined) cell += `\n${line}`
  }
  endRow()
  return rows
}

/** Lines, without splitting at line breaks inside templates and links. */
const logicalLines = (text: string): string[] => splitTopLevel(text, '\n', 100_000)

const withoutAttributes = (cell: string): string => {
  const parts = splitTopLevel(cell, '|', 2)
  return parts.length === 2 && !/\[\[|\{\{/.test(parts[0]) && parts[0].length < 400 ? parts[1] : cell
}
