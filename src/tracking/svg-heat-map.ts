// A heat map as SVG: a table of values whose cells are coloured by how good they are in their column. It stands alone, without a
// style sheet.
import { escapeHtml } from './svg-chart.ts'

/** A cell: its text, and how good it is in its column from 0 to 1; undefined for a cell without a value. */
export interface HeatCell {
  text: string
  share: number | undefined
  /** Shown on hover. */
  note?: string
}

/** A heat map. */
export interface HeatMap {
  title: string
  columns: readonly string[]
  rows: readonly { name: string; cells: readonly HeatCell[] }[]
}

const [cellWidth, cellHeight, margin] = [132, 34, 12]
const widthOf = (texts: readonly string[]): number => Math.max(80, ...texts.map((text) => 7 * [...text].length + 16))
const cut = (text: string, most: number): string =>
  [...text].length > most ? `${[...text].slice(0, most - 1).join('')}…` : text

/** The heat map as an SVG document. */
export const renderHeatMap = ({ title, columns, rows }: HeatMap): string => {
  const left = margin + Math.min(320, widthOf(rows.map(({ name }) => name)))
  const top = 64
  const [width, height] = [left + columns.length * cellWidth + margin, top + rows.length * cellHeight + margin]
  const text = (x: number, y: number, value: string, anchor = 'start', more = '') =>
    `<text x="${x}" y="${y}" text-anchor="${anchor}"${more} style="fill:#1b1f24;font:12px system-ui,sans-serif">${escapeHtml(value)}</text>`
  const heads = columns.map((name, c) => text(left + (c + 0.5) * cellWidth, top - 10, cut(name, 20), 'middle'))
  const body = rows.flatMap(({ name, cells }, r) => {
    const y = top + r * cellHeight
    return [
      text(left - 8, y + 21, cut(name, 44), 'end'),
      ...cells.map(({ text: shown, share, note }, c) => {
        const x = left + c * cellWidth
        const fill = share === undefined ? '#f2f4f6' : `hsl(${Math.round(20 + 130 * share)} 55% 78%)`
        const hover = note === undefined ? '' : `<title>${escapeHtml(note)}</title>`
        return `<g>${hover}<rect x="${x + 1}" y="${y + 1}" width="${cellWidth - 2}" height="${cellHeight - 2}" rx="3" fill="${fill}"/>${text(x + cellWidth / 2, y + 21, shown, 'middle')}</g>`
      }),
    ]
  })
  const label = `<rect width="${width}" height="${height}" fill="#fff"/>${text(margin, 24, title, 'start', ' font-weight="600"')}`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeHtml(title)}">${label}${[...heads, ...body].join('')}</svg>\n`
}
