// One chart as SVG text: axes, lines, a legend. Colours come from the page's style sheet.
import { formatTick, type Series, scaleOver } from './chart-scale.ts'
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
  const horizontal = yScale
    .ticks(6)
    .map(
      (tick) =>
        `<path class="grid" d="M${size.left} ${short(yAt(tick))}H${right}"/>` +
        `<text class="y" x="${size.left - 8}" y="${short(yAt(tick) + 4)}">${formatTick(tick)}</text>`,
    )
  const vertical = xScale
    .ticks(8)
    .map((tick) => `<text class="x" x="${short(xAt(tick))}" y="${bottom + 20}">${formatTick(tick)}</text>`)
  const lines = series.map((each, i) => {
    const name = `<title>${escapeHtml(each.name)}</title>`
    return `<g class="line s${i % 6}">${name}${pathsOf(each, xAt, yAt)}</g>`
  })
  return (
    `${horizontal.join('')}${vertical.join('')}<path class="axis" d="M${size.left} ${size.top}V${bottom}H${right}"/>` +
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

export const short = (value: number) => String(Math.round(value * 100) / 100)
