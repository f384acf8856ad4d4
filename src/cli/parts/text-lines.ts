// Text for a terminal of 80 columns: wrapped paragraphs and aligned tables. Independent of their content.

export const terminalColumns = 80

/**
 * A paragraph as lines of at most 80 columns. Words are never split.
 * @param options.first spaces before the first line, and `indent` before the others
 * @param options.taken columns of the first line that are taken by what the caller writes before it
 */
export const wrapText = (
  text: string,
  { indent = 0, first = 0, taken = 0 }: { indent?: number; first?: number; taken?: number } = {},
): string => {
  const lines: string[] = []
  let line = ' '.repeat(first)
  let empty = true
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const before = lines.length === 0 ? taken : 0
    if (!empty && before + line.length + 1 + word.length > terminalColumns) {
      lines.push(line)
      line = ' '.repeat(indent)
      empty = true
    }
    line += empty ? word : ` ${word}`
    empty = false
  }
  return [...lines, line].join('\n')
}

/** Spaces that a line begins with. */
export const leadingSpaces = (line: string): number => line.length - line.trimStart().length

/** A line at its own indent; what does not fit into 80 columns continues two columns further in. */
export const wrapLine = (line: string): string => {
  if (line.length <= terminalColumns) return line
  const first = leadingSpaces(line)
  return wrapText(line, { first, indent: first + 2 })
}

/** Columns as wide as their longest cell, two spaces apart; cells that read as numbers are aligned right. */
export const alignedTable = (rows: readonly (readonly string[])[], indent = 2): string => {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, i) => Math.max(all[i] ?? 0, cell.length)), [])
  const isNumber = (cell: string) => /^[-+]?[\d.,]+( ?[%kMBT]|e[-+]?\d+)?$/.test(cell)
  const numeric = widths.map((_, i) => rows.slice(1).every((row) => row[i] === '' || isNumber(row[i])))
  return rows
    .map((row) =>
      `${' '.repeat(indent)}${row.map((cell, i) => (numeric[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join('  ')}`.trimEnd(),
    )
    .join('\n')
}
