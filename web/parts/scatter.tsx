// Points with their intervals as a picture: shapes and colours by kind, lines across for references, and a path through points in an order.
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { type AxisKind, formatTick, scaleOver } from '../../src/tracking/chart-scale.ts'
import { formatValue } from '../format.ts'
import { csvText } from './chart-csv.ts'
import { fileName, savePicture } from './picture-files.ts'
import { saveFile } from './save-file.ts'

export type Shape = 'circle' | 'square' | 'triangle' | 'diamond' | 'cross'

/** One point. */
export interface ScatterMark {
  key: string
  /** Written beside the point (default: nothing). */
  name?: string
  /** All that is known of it, for a hint and for people who cannot see it. */
  title: string
  x: number
  y: number
  low?: number | null
  high?: number | null
  shape: Shape
  /** A colour of CSS. */
  color: string
  hollow?: boolean
  large?: boolean
  href?: string
}

interface ScatterProps {
  label: string
  across: string
  up: string
  axis?: AxisKind
  points: readonly ScatterMark[]
  references?: readonly { name: string; y: number }[]
  /** Whether a line leads from each point without a name to the next. */
  path?: boolean
  height?: number
}

/** Width of an element as it changes. */
const useWidth = () => {
  const frame = useRef<HTMLDivElement>(null)
  const width = useSignal(640)
  useEffect(() => {
    const element = frame.current!
    const observer = new ResizeObserver(() => {
      width.value = Math.max(260, element.clientWidth)
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  return { frame, width: width.value }
}

const outlines: Record<Shape, (r: number) => string> = {
  circle: (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  square: (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  triangle: (r) => `M0 ${-1.2 * r}L${1.15 * r} ${r}H${-1.15 * r}z`,
  diamond: (r) => `M0 ${-1.35 * r}L${1.35 * r} 0L0 ${1.35 * r}L${-1.35 * r} 0z`,
  cross: (r) =>
    `M${-r} ${-0.35 * r}h${0.65 * r}v${-0.65 * r}h${0.7 * r}v${0.65 * r}h${0.65 * r}v${0.7 * r}h${-0.65 * r}v${0.65 * r}h${-0.7 * r}v${-0.65 * r}h${-0.65 * r}z`,
}

/** A shape by itself, for legends. */
export const Marker = ({ shape, color, hollow }: Pick<ScatterMark, 'shape' | 'color' | 'hollow'>) => (
  <svg class="marker" width="16" height="16" viewBox="-8 -8 16 16" aria-hidden="true">
    <path
      d={outlines[shape](5)}
      fill={hollow ? 'var(--panel)' : color}
      stroke={color}
      stroke-width="1.6"
      stroke-dasharray={hollow ? '2.5 1.5' : undefined}
    />
  </svg>
)

interface Placed extends ScatterMark {
  left: number
  top: number
}

const Point = ({
  point,
  yAt,
  nameAt,
  right,
}: {
  point: Placed
  yAt(y: number): number
  nameAt: number
  right: boolean
}) => {
  const { left, top, low, high, shape, color, hollow, large, name, title, href } = point
  const body = (
    <>
      <title>{title}</title>
      {typeof low === 'number' && typeof high === 'number' && (
        <path
          d={`M${left} ${yAt(low)}V${yAt(high)}M${left - 4} ${yAt(low)}h8M${left - 4} ${yAt(high)}h8`}
          stroke={color}
          fill="none"
        />
      )}
      <path
        transform={`translate(${left} ${top})`}
        d={outlines[shape](large ? 7 : 5)}
        fill={hollow ? 'var(--panel)' : color}
        stroke={large ? 'var(--text)' : color}
        stroke-width={large ? 2 : 1.6}
        stroke-dasharray={hollow ? '2.5 1.5' : undefined}
      />
      {name !== undefined && (
        <text x={left + (right ? 10 : -10)} y={nameAt + 4} text-anchor={right ? 'start' : 'end'} class="name">
          {name}
        </text>
      )}
    </>
  )
  return href === undefined ? (
    <g>{body}</g>
  ) : (
    <a href={href} aria-label={title}>
      {body}
    </a>
  )
}

const nameHeight = 15

/** Heights of names, moved down where two would overlap. */
const spreadNames = (points: readonly Placed[]): Map<string, number> => {
  const found = new Map<string, number>()
  const taken: { left: number; top: number }[] = []
  for (const { key, left, top, name } of [...points].sort((a, b) => a.top - b.top)) {
    if (name === undefined) continue
    let at = top
    for (const other of taken)
      if (Math.abs(other.left - left) < 150 && at - other.top < nameHeight) at = other.top + nameHeight
    taken.push({ left, top: at })
    found.set(key, at)
  }
  return found
}

/** Heights of the names of lines, moved apart where two would overlap, but not below the bottom. */
const spreadLines = (tops: readonly number[], bottom: number): number[] => {
  const found = [...tops]
  const down = [...tops.keys()].sort((a, b) => tops[a] - tops[b])
  down.forEach((i, n) => {
    if (n > 0) found[i] = Math.max(found[i], found[down[n - 1]] + nameHeight)
  })
  down.reverse().forEach((i, n) => {
    found[i] = Math.min(found[i], n === 0 ? bottom : found[down[n - 1]] - nameHeight)
  })
  return found
}

/** Pixels of a character, of a name beside the picture. */
const characterWidth = 7

/** Width from which names of lines are beside the picture. */
const wide = 560

const inset = { left: 58, right: 14, top: 14, bottom: 46 }

export const Scatter = ({
  label,
  across,
  up,
  axis = 'linear',
  points,
  references = [],
  path,
  height = 340,
}: ScatterProps) => {
  const { frame, width } = useWidth()
  const shown = points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y) && (axis === 'linear' || x > 0))
  const xScale = scaleOver([shown.map(({ x }) => x)], axis)
  const yScale = scaleOver([
    shown.flatMap(({ y, low, high }) => [y, low ?? y, high ?? y]),
    references.map(({ y }) => y),
  ])
  const lineTexts = references.map(({ name, y }) => `${name} ${formatValue(y)}`)
  const beside = width >= wide && references.length > 0
  const room = beside ? 24 + characterWidth * Math.max(...lineTexts.map(({ length }) => length)) : 0
  const [right, bottom] = [width - inset.right - room, height - inset.bottom]
  // Some room at the sides, so that no point is on an axis.
  const xAt = (x: number) => inset.left + (0.04 + 0.92 * xScale.place(x)) * (right - inset.left)
  const yAt = (y: number) => bottom - (0.04 + 0.92 * yScale.place(y)) * (bottom - inset.top)
  const placed = shown.map((point): Placed => ({ ...point, left: xAt(point.x), top: yAt(point.y) }))
  const names = spreadNames(placed)
  const line = placed.filter(({ name }) => name === undefined)
  const columns = width < 480 ? 3 : 6
  const lineTops = references.map(({ y }) => yAt(y))
  const lineNames = spreadLines(beside ? lineTops : lineTops.map((top) => top - 8), bottom - (beside ? 0 : 8))
  const rows = [
    ...placed.map(({ key, x, y, low, high }) => [key, x, y, low, high]),
    ...references.map(({ name, y }) => [name, null, y, null, null]),
  ]
  return (
    <figure class="scatter" aria-label={label}>
      <div class="row export">
        <button
          type="button"
          aria-label={`${label} as SVG`}
          onClick={() => savePicture(label, frame.current!.querySelector('svg')!)}
        >
          SVG
        </button>
        <button
          type="button"
          aria-label={`${label} as CSV`}
          onClick={() =>
            saveFile(`${fileName(label)}.csv`, csvText([['name', across, 'value', 'low', 'high'], ...rows]), 'text/csv')
          }
        >
          CSV
        </button>
      </div>
      <div ref={frame}>
        <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
          <title>{label}</title>
          {yScale.ticks(6).map((tick) => (
            <g key={tick}>
              <path class="grid" d={`M${inset.left} ${yAt(tick)}H${right}`} />
              <text x={inset.left - 8} y={yAt(tick) + 4} text-anchor="end">
                {formatTick(tick)}
              </text>
            </g>
          ))}
          {xScale.ticks(columns).map((tick) => (
            <text key={tick} x={xAt(tick)} y={bottom + 18} text-anchor="middle">
              {formatTick(tick)}
            </text>
          ))}
          <path class="axis" d={`M${inset.left} ${inset.top}V${bottom}H${right}`} />
          {references.map(({ name }, i) => (
            <path
              key={name}
              class="reference"
              d={`M${inset.left} ${lineTops[i]}H${right}${beside ? `L${right + 16} ${lineNames[i]}` : ''}`}
            />
          ))}
          {references.map(({ name }, i) => (
            <text
              key={name}
              class="halo"
              x={beside ? right + 20 : right}
              y={lineNames[i] + 4}
              text-anchor={beside ? 'start' : 'end'}
            >
              {lineTexts[i]}
            </text>
          ))}
          {path && line.length > 1 && (
            <path class="path" d={line.map(({ left, top }, i) => `${i === 0 ? 'M' : 'L'}${left} ${top}`).join('')} />
          )}
          {placed.map((point) => (
            <Point
              key={point.key}
              point={point}
              yAt={yAt}
              nameAt={names.get(point.key) ?? point.top}
              right={point.left < inset.left + 0.6 * (right - inset.left)}
            />
          ))}
          <text x={(inset.left + right) / 2} y={height - 8} text-anchor="middle" class="name">
            {across}
            {axis === 'log' ? ' (log scale)' : ''}
          </text>
        </svg>
      </div>
      <figcaption class="muted">{up}</figcaption>
    </figure>
  )
}
