// One chart as SVG text: axes, lines, a legend. Colours come from the page's style sheet.
import { formatTick, type Series, scaleOver } from './chart-scale.ts'
import type { Chart } from './report-sections.ts'

const size = { width: 640, height: 280, left: 64, right: 12, top: 12, bottom: 32 }

/** `&`, `<`, `>` and quotes as entities. */
export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** A line chart as SVG text. */
export const renderSvg = ({ title, series, axis }: Chart): string => {
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
  const legend =
    series.length < 2
      ? ''
      : `<p class="legend">${series.map(({ name }, i) => `<span class="s${i % 6}">${escapeHtml(name)}</span>`).join('')}</p>`
  return (
    `<figure><figcaption>${escapeHtml(title)}${axis === 'log' ? ' (log scale)' : ''}</figcaption>${legend}` +
    `<svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escapeHtml(title)}">` +
    `${horizontal.join('')}${vertical.join('')}<path class="axis" d="M${size.left} ${size.top}V${bottom}H${right}"/>` +
    `${lines.join('')}</svg></figure>`
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
