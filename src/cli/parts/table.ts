// Tables that fit the terminal: a table that is too wide is split into several, each beginning with the first column.
import Table from 'cli-table3'

/** Columns of a terminal, or 80 where the output is no terminal. */
const terminalWidth = (stream: { columns?: number } = process.stdout): number => stream.columns ?? 80

const draw = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const table = new Table({ head: [...head], style: { head: [], border: [] } })
  table.push(...rows.map((row) => [...row]))
  return table.toString()
}

const widthOf = (text: string): number => Math.max(0, ...text.split('\n').map((line) => [...line].length))

/** Cells longer than this are cut, so that a first column alone never fills the terminal. */
const maxCell = 48

const shorten = (text: string): string =>
  [...text].length > maxCell ? `${[...text].slice(0, maxCell - 1).join('')}…` : text

/**
 * A table with borders. Columns that do not fit into `width` characters continue in a further table below, which repeats the first
 * column.
 */
export const renderTable = (
  head: readonly string[],
  rows: readonly (readonly string[])[],
  width: number = terminalWidth(),
): string => {
  const cells = rows.map((row) => row.map(shorten))
  const columnWidth = (column: number) => 3 + Math.max(...[head, ...cells].map((row) => widthOf(row[column] ?? '')))
  const groups: number[][] = []
  let group: number[] = []
  let used = 0
  const first = 1 + columnWidth(0)
  for (let column = 1; column < head.length; column++) {
    const own = columnWidth(column)
    if (group.length > 0 && first + used + own > width) {
      groups.push(group)
      group = []
      used = 0
    }
    group.push(column)
    used += own
  }
  groups.push(group)
  const pick = (row: readonly string[], columns: readonly number[]) =>
    [0, ...columns].map((column) => row[column] ?? '')
  return groups
    .map((columns) =>
      draw(
        pick(head, columns),
        cells.map((row) => pick(row, columns)),
      ),
    )
    .join('\n')
}
