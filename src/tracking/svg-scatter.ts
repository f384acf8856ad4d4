// Points as SVG text, each with its name and how sure it is, and lines across for what they are held against. Colours come from the
// page's style sheet.
import { type AxisKind, formatTick, scaleOver } from './chart-scale.ts'
import { escapeHtml, short } from './svg-chart.ts'

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

const size = { width: 640, height: 320, left: 64, right: 12, top: 16, bottom: 44 }
const nameHeight = 14

/** A scatter plot as SVG text. */
export const renderScatter = ({ title, across, axis, points, references = [] }: Scatter): string => {
  const shown = points.filter(({ x, y }) => Number.isFinite(y) && Number.isFinite(x) && (axis === 'linear' || x > 0))
  const lines = references.filter(({ y }) => Number.isFinite(y))
  const xScale = scaleOver([shown.map(({ x }) => x)], axis)
  const yScale = scaleOver([shown.flatMap(({ y, low = y, high = y }) => [y, low, high]), lines.map(({ y }) => y)])
  const [right, bottom] = [size.width - size.right, size.height - size.bottom]
  // Room at both sides, so that no point sits on an axis and names fit.
  const xAt = (value: number) => size.left + (0.06 + 0.74 * xScale.place(value)) * (right - size.left)
  const yAt = (value: number) => bottom - (0.04 + 0.92 * yScale.place(value)) * (bottom - size.top)
  const grid = yScale
    .ticks(6)
    .map(
      (tick) =>
        `<path class="grid" d="M${size.left} ${short(yAt(tick))}H${right}"/>` +
        `<text class="y" x="${size.left - 8}" y="${short(yAt(tick) + 4)}">${formatTick(tick)}</text>`,
    )
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
        `<path class="reference" d="M${size.left} ${short(yAt(y))}H${right}"/>` +
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
    `<svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escapeHtml(title)}">` +
    `${grid.join('')}${ticks.join('')}<path class="axis" d="M${size.left} ${size.top}V${bottom}H${right}"/>` +
    `${held.join('')}${drawn.join('')}` +
    `<text class="x" x="${short((size.left + right) / 2)}" y="${size.height - 6}">${escapeHtml(across)}${axis === 'log' ? ' (log scale)' : ''}</text>` +
    '</svg></figure>'
  )
}
