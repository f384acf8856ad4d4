// The values of a chart as CSV.
import type { ChartProps } from './chart-types.ts'

const cell = (value: string | number | null | undefined): string => {
  const text = value === null || value === undefined ? '' : String(value)
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** Rows as CSV. */
export const csvText = (rows: readonly (readonly (string | number | null | undefined)[])[]): string =>
  rows.map((row) => `${row.map(cell).join(',')}\n`).join('')

/** The values of a chart as CSV, a row for each x. */
export const csvOf = ({ curves, exportX = 'step' }: Pick<ChartProps, 'curves'> & { exportX?: string }): string => {
  const columns = curves.flatMap(({ name, x, y, low, high }) => {
    const at = new Map(x.map((value, i) => [value, i]))
    const column = (title: string, values: readonly (number | null)[]) => ({ title, at, values })
    return [
      column(name, y),
      ...(low === undefined ? [] : [column(`${name}, lowest`, low)]),
      ...(high === undefined ? [] : [column(`${name}, highest`, high)]),
    ]
  })
  const xs = [...new Set(curves.flatMap(({ x }) => x))].sort((a, b) => a - b)
  const rows = xs.map((x) => [x, ...columns.map(({ at, values }) => values[at.get(x) ?? -1])])
  return csvText([[exportX, ...columns.map(({ title }) => title)], ...rows])
}
