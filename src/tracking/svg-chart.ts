// Charts as SVG text: lines with axes and a legend, points with intervals, and heat maps. The colours of the first two come from the page's
// style sheet.
import { type AxisKind, formatTick, type Scale, type Series, scaleOver } from './chart-scale.ts'
import type { Chart } from './report-sections.ts'

const size = { width: 640, height: 280, left: 64, right: 12, top: 12, bottom: 32 }

/** `&`, `<`, `>` and quotes as entities. */
export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** A line chart as a figure with SVG for a page, whose style sheet has the colours. */
export const renderSvg = (chart: Chart): string => {
  const { title, series, axis } = chart
  const legend =
    series.length < 2
      ? ''
      : `<p class="legend">${series.map(({ name }, i) => `<span class="s${i % 6}">${escapeHtml(name)}</span>`).join('')}</p>`
  return (
    `<figure><figcaption>${escapeHtml(title)}${axis === 'log' ? ' (log scale)' : ''}</figcaption>${legend}` +
    `<svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escapeHtml(title)}">${drawing(chart)}</svg></figure>`
  )
}

/** Okabe and Ito's palette, which colour-blind readers tell apart. */
const colors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9']

const lineHeight = 18

/** A line chart as an SVG file of its own, with its title, legend and colours. */
export const svgDocument = (chart: Chart): string => {
  const { title, series, axis } = chart
  const heading = 26 + lineHeight * series.length
  const style = [
    'text{font:12px system-ui,sans-serif;fill:#1c1f23}.y{text-anchor:end}.x{text-anchor:middle}',
    '.grid{stroke:#d9dbde}.axis{stroke:#5a6068;fill:none}.line{fill:none;stroke-width:1.5}.line circle{stroke:none}',
    ...colors.map((color, i) => `.s${i}{stroke:${color}}.s${i} circle{fill:${color}}`),
  ].join('')
  const legend = series.map(
    ({ name }, i) =>
      `<path class="line s${i % 6}" d="M${size.left} ${22 + lineHeight * (i + 0.5)}h18"/>` +
      `<text x="${size.left + 24}" y="${26 + lineHeight * (i + 0.5)}">${escapeHtml(name)}</text>`,
  )
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height + heading}">` +
    `<title>${escapeHtml(title)}</title><style>${style}</style><rect width="100%" height="100%" fill="#ffffff"/>` +
    `<text x="${size.left}" y="18" font-weight="bold">${escapeHtml(title)}${axis === 'log' ? ' (log scale)' : ''}</text>` +
    `${legend.join('')}<g transform="translate(0 ${heading})">${drawing(chart)}</g></svg>\n`
  )
}

/** Lines across the drawing, which begins and ends at the same x in all charts, with their numbers. */
const horizontalGrid = (yScale: Scale, yAt: (value: number) => number): string =>
  yScale
    .ticks(6)
    .map(
      (tick) =>
        `<path class="grid" d="M${size.left} ${short(yAt(tick))}H${size.width - size.right}"/>` +
        `<text class="y" x="${size.left - 8}" y="${short(yAt(tick) + 4)}">${formatTick(tick)}</text>`,
    )
    .join('')

/** Axes and lines. */
const drawing = ({ series, axis }: Chart): string => {
  const xScale = scaleOver(series.map(({ x }) => x))
  const yScale = scaleOver(
    series.map(({ y }) => y),
    axis,
  )
  const right = size.width - size.right
  const bottom = size.height - size.bottom
  const xAt = (value: number) => size.left + xScale.place(value) * (right - size.left)
  const yAt = (value: number) => bottom - yScale.place(value) * (bottom - size.top)
  const vertical = xScale
    .ticks(8)
    .map((tick) => `<text class="x" x="${short(xAt(tick))}" y="${bottom + 20}">${formatTick(tick)}</text>`)
  const lines = series.map((each, i) => {
    const name = `<title>${escapeHtml(each.name)}</title>`
    return `<g class="line s${i % 6}">${name}${pathsOf(each, xAt, yAt)}</g>`
  })
  return (
    `${horizontalGrid(yScale, yAt)}${vertical.join('')}<path class="axis" d="M${size.left} ${size.top}V${bottom}H${right}"/>` +
    lines.join('')
  )
}

/**
 * The line in pieces, broken where a value has no place. Of many points in one pixel column only the first, lowest, highest
 * and last are kept, which draws the same picture. @source Jugel et al., M4, PVLDB 7(10), 2014
 */
const pathsOf = ({ x, y }: Series, xAt: (value: number) => number, yAt: (value: number) => number): string => {
  const pieces: string[] = []
  let piece: [number, number][] = []
  let column: [number, number][] = []
  const endColumn = () => {
    if (column.length > 4) {
      const lowest = column.reduce((best, point, i) => (point[1] < column[best][1] ? i : best), 0)
      const highest = column.reduce((best, point, i) => (point[1] > column[best][1] ? i : best), 0)
      const kept = [...new Set([0, lowest, highest, column.length - 1])].sort((a, b) => a - b)
      column = kept.map((i) => column[i])
    }
    piece.push(...column)
    column = []
  }
  const endPiece = () => {
    endColumn()
    if (piece.length === 1) pieces.push(`<circle cx="${short(piece[0][0])}" cy="${short(piece[0][1])}" r="2"/>`)
    else if (piece.length > 1)
      pieces.push(`<path d="M${piece.map(([px, py]) => `${short(px)} ${short(py)}`).join('L')}"/>`)
    piece = []
  }
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const point: [number, number] = [xAt(x[i]), yAt(y[i])]
    if (Number.isNaN(point[0]) || Number.isNaN(point[1])) {
      endPiece()
      continue
    }
    if (column.length > 0 && Math.floor(column[0][0]) !== Math.floor(point[0])) endColumn()
    column.push(point)
  }
  endPiece()
  return pieces.join('')
}

const short = (value: number) => String(Math.round(value * 100) / 100)

/** A cell: its text, and how good it is in its column from 0 to 1; undefined for a cell without a value. */
export interface HeatCell {
  text: string
  share: number | undefined
  /** Shown on hover. */
  note?: string
}

/** A table of values whose cells are coloured by how good they are in their column. */
export interface HeatMap {
  title: string
  columns: readonly string[]
  rows: readonly { name: string; cells: readonly HeatCell[] }[]
}

const [cellWidth, cellHeight, margin] = [132, 34, 12]
const widthOf = (texts: readonly string[]): number => Math.max(80, ...texts.map((text) => 7 * [...text].length + 16))
const cut = (text: string, most: number): string =>
  [...text].length > most ? `${[...text].slice(0, most - 1).join('')}…` : text

/** The heat map as an SVG document, which needs no style sheet. */
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

/** A point of a scatter plot with its name and interval. */
export interface ScatterPoint {
  name: string
  x: number
  y: number
  /** Bounds of y. */
  low?: number
  high?: number
  /** Which colour; points of one kind share it. */
  kind?: number
}

/** A scatter plot: points with intervals, and reference lines. */
export interface Scatter {
  title: string
  /** What x is. */
  across: string
  axis: AxisKind
  points: readonly ScatterPoint[]
  /** Values of y without an x. */
  references?: readonly { name: string; y: number }[]
}

const scatterSize = { ...size, height: 320, top: 16, bottom: 44 }
const nameHeight = 14

/** A scatter plot as SVG text. */
export const renderScatter = ({ title, across, axis, points, references = [] }: Scatter): string => {
  const shown = points.filter(({ x, y }) => Number.isFinite(y) && Number.isFinite(x) && (axis === 'linear' || x > 0))
  const lines = references.filter(({ y }) => Number.isFinite(y))
  const xScale = scaleOver([shown.map(({ x }) => x)], axis)
  const yScale = scaleOver([shown.flatMap(({ y, low = y, high = y }) => [y, low, high]), lines.map(({ y }) => y)])
  const [right, bottom] = [scatterSize.width - scatterSize.right, scatterSize.height - scatterSize.bottom]
  // Room at both sides, so that no point sits on an axis and names fit.
  const xAt = (value: number) => scatterSize.left + (0.06 + 0.74 * xScale.place(value)) * (right - scatterSize.left)
  const yAt = (value: number) => bottom - (0.04 + 0.92 * yScale.place(value)) * (bottom - scatterSize.top)
  const ticks = xScale
    .ticks(6)
    .map((tick) => `<text class="x" x="${short(xAt(tick))}" y="${bottom + 18}">${formatTick(tick)}</text>`)
  // Names of lines that lie close are stacked upwards.
  let free = Number.POSITIVE_INFINITY
  const held = [...lines]
    .sort((one, other) => one.y - other.y)
    .map(({ name, y }) => {
      const nameAt = Math.min(yAt(y) - 4, free)
      free = nameAt - nameHeight
      return (
        `<path class="reference" d="M${scatterSize.left} ${short(yAt(y))}H${right}"/>` +
        `<text class="y" x="${right}" y="${short(nameAt)}">${escapeHtml(name)}</text>`
      )
    })
  const drawn = shown.map(({ name, x, y, low, high, kind = 0 }) => {
    const bar =
      low !== undefined && high !== undefined && Number.isFinite(low) && Number.isFinite(high)
        ? `<path d="M${short(xAt(x))} ${short(yAt(low))}V${short(yAt(high))}"/>`
        : ''
    const label = `<text x="${short(xAt(x) + 7)}" y="${short(yAt(y) + 4)}">${escapeHtml(name)}</text>`
    return (
      `<g class="point s${kind % 6}"><title>${escapeHtml(`${name}: ${formatTick(y)} at ${formatTick(x)}`)}</title>` +
      `${bar}<circle cx="${short(xAt(x))}" cy="${short(yAt(y))}" r="4"/>${label}</g>`
    )
  })
  return (
    `<figure><figcaption>${escapeHtml(title)}</figcaption>` +
    `<svg viewBox="0 0 ${scatterSize.width} ${scatterSize.height}" role="img" aria-label="${escapeHtml(title)}">` +
    `${horizontalGrid(yScale, yAt)}${ticks.join('')}<path class="axis" d="M${scatterSize.left} ${scatterSize.top}V${bottom}H${right}"/>` +
    `${held.join('')}${drawn.join('')}` +
    `<text class="x" x="${short((scatterSize.left + right) / 2)}" y="${scatterSize.height - 6}">${escapeHtml(across)}${axis === 'log' ? ' (log scale)' : ''}</text>` +
    '</svg></figure>'
  )
}
