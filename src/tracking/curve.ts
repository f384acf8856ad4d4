// Curves in a terminal, drawn with braille dots (2 by 4 per character) or with letters.
import { type AxisKind, formatTick, type Series, scaleOver } from './chart-scale.ts'

/** Size and style of a drawing. */
export interface CurveOptions {
  /** Width in characters, with axis and labels. */
  width?: number
  /** Height of the drawing area in lines. */
  height?: number
  /** Kind of the vertical axis. */
  axis?: AxisKind
  title?: string
  /** Label below the horizontal axis. */
  xLabel?: string
  /**
   * `ascii` draws every series with a letter. `braille` is finer but distinguishes series by colour only, so it is the default for one
   * series, or with colours.
   */
  style?: 'braille' | 'ascii'
  /** Whether to use ANSI colours. */
  color?: boolean
}

const marks = ['*', '+', 'o', 'x', '#', '@']
const colors = [36, 33, 35, 32, 31, 34]
/** Bits of the dots of a braille character, by row and column. */
const dots = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
]

/** Draws all series; later series cover earlier ones. Points that are not finite leave gaps. */
export const renderCurves = (series: readonly Series[], options: CurveOptions = {}): string => {
  const { width = 80, height = 14, axis = 'linear', title, xLabel, color = false } = options
  const style = options.style ?? (series.length > 1 && !color ? 'ascii' : 'braille')
  const xScale = scaleOver(series.map(({ x }) => x))
  const yScale = scaleOver(
    series.map(({ y }) => y),
    axis,
  )
  const ticks = yScale.ticks(Math.max(2, Math.floor(height / 3)))
  const rowOf = (value: number) => Math.round((1 - yScale.place(value)) * (height - 1))
  const labels = new Map(ticks.map((tick) => [rowOf(tick), formatTick(tick)]))
  const labelWidth = Math.max(...[...labels.values()].map((label) => label.length), 1)
  const columns = Math.max(8, width - labelWidth - 2)
  const [dotColumns, dotRows] = style === 'braille' ? [2, 4] : [1, 1]

  const bits = new Uint8Array(columns * height)
  const owner = new Int16Array(columns * height).fill(-1)
  series.forEach(({ x, y }, index) => {
    const plot = (column: number, row: number) => {
      const cell = Math.floor(row / dotRows) * columns + Math.floor(column / dotColumns)
      bits[cell] |= dots[row % dotRows][column % dotColumns]
      owner[cell] = index
    }
    let last: [number, number] | undefined
    for (let i = 0; i < Math.min(x.length, y.length); i++) {
      const [right, up] = [xScale.place(x[i]), yScale.place(y[i])]
      if (Number.isNaN(right) || Number.isNaN(up)) {
        last = undefined
        continue
      }
      const point: [number, number] = [
        Math.round(right * (columns * dotColumns - 1)),
        Math.round((1 - up) * (height * dotRows - 1)),
      ]
      line(last ?? point, point, plot)
      last = point
    }
  })

  const paint = (text: string, index: number) =>
    color ? `\u001b[${colors[index % colors.length]}m${text}\u001b[0m` : text
  const glyph = (cell: number) => {
    if (owner[cell] < 0) return ' '
    const text = style === 'braille' ? String.fromCharCode(0x2800 + bits[cell]) : marks[owner[cell] % marks.length]
    return paint(text, owner[cell])
  }
  const rows = Array.from({ length: height }, (_, row) => {
    const label = (labels.get(row) ?? '').padStart(labelWidth)
    const cells = Array.from({ length: columns }, (_, column) => glyph(row * columns + column))
    return `${label} ${labels.has(row) ? '┤' : '│'}${cells.join('')}`.trimEnd()
  })
  const legend =
    series.length < 2
      ? []
      : [
          series
            .map(({ name }, i) => paint(`${style === 'ascii' ? marks[i % marks.length] : '⠒'} ${name}`, i))
            .join('   '),
        ]
  return [
    ...(title === undefined ? [] : [title]),
    ...legend,
    ...rows,
    `${' '.repeat(labelWidth + 1)}└${'─'.repeat(columns)}`,
    `${' '.repeat(labelWidth + 2)}${xTicks(columns, xScale)}`,
    ...(xLabel === undefined
      ? []
      : [`${' '.repeat(labelWidth + 2)}${xLabel.padStart((columns + xLabel.length) >> 1)}`]),
  ].join('\n')
}

const xTicks = (columns: number, scale: ReturnType<typeof scaleOver>): string => {
  const cells = new Array<string>(columns).fill(' ')
  let free = 0
  for (const tick of scale.ticks(Math.max(2, Math.floor(columns / 12)))) {
    const label = formatTick(tick)
    const start = Math.min(
      columns - label.length,
      Math.max(0, Math.round(scale.place(tick) * (columns - 1)) - (label.length >> 1)),
    )
    if (start < free) continue
    for (let i = 0; i < label.length; i++) cells[start + i] = label[i]
    free = start + label.length + 1
  }
  return cells.join('').trimEnd()
}

/** @source J. E. Bresenham, Algorithm for computer control of a digital plotter, 1965 */
const line = ([x0, y0]: [number, number], [x1, y1]: [number, number], plot: (x: number, y: number) => void): void => {
  const [dx, dy] = [Math.abs(x1 - x0), -Math.abs(y1 - y0)]
  const [sx, sy] = [x0 < x1 ? 1 : -1, y0 < y1 ? 1 : -1]
  let [x, y, error] = [x0, y0, dx + dy]
  for (;;) {
    plot(x, y)
    if (x === x1 && y === y1) return
    const doubled = 2 * error
    if (doubled >= dy) {
      error += dy
      x += sx
    }
    if (doubled <= dx) {
      error += dx
      y += sy
    }
  }
}
