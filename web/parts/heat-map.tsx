// Values by row and position as colours: a strip of cells for each row, with its newest and its highest value as numbers beside it.
import { scaleOver } from '../../src/tracking/chart-scale.ts'
import { formatValue } from '../format.ts'
import { Scroll } from './scroll.tsx'

/** One row. */
export interface HeatRow {
  key: string
  name: string
  /** One for each position; null where there is none. */
  values: readonly (number | null)[]
}

interface HeatMapProps {
  label: string
  /** Head of the names. */
  rowTitle: string
  rows: readonly HeatRow[]
  /** What the first and the last position are. */
  ends: readonly [string, string]
  /** The text of a position, for hints: `step 120`. */
  position(index: number): string
  /** Whether each row has the colours of its own range, which shows changes in rows of different size. */
  byRow: boolean
  /** Called with the index of a position that is clicked. */
  onPick?(index: number): void
}

/** Shades of a colour: cells of one shade are drawn as one path, so that a page has few elements. */
const shades = 24

const colorOf = (shade: number): string =>
  `color-mix(in oklab, var(--heat-high) ${Math.round((100 * shade) / (shades - 1))}%, var(--heat-low))`

/** Paths by shade over cells of one unit, with cells of the same shade joined. */
const pathsOf = (values: readonly (number | null)[], place: (value: number) => number): Map<number, string> => {
  const paths = new Map<number, string>()
  const shadeOf = (value: number | null) => {
    const at = value === null ? Number.NaN : place(value)
    return Number.isNaN(at) ? undefined : Math.round(at * (shades - 1))
  }
  for (let from = 0; from < values.length; ) {
    const shade = shadeOf(values[from])
    let to = from + 1
    while (to < values.length && shadeOf(values[to]) === shade) to++
    if (shade !== undefined) paths.set(shade, `${paths.get(shade) ?? ''}M${from} 0h${to - from}v1h${from - to}z`)
    from = to
  }
  return paths
}

const Row = ({
  row: { name, values },
  place,
  position,
  onPick,
}: Pick<HeatMapProps, 'position' | 'onPick'> & { row: HeatRow; place(value: number): number }) => {
  const known = values.filter((value) => value !== null)
  const indexAt = (event: MouseEvent) => {
    const { left, width } = (event.currentTarget as Element).getBoundingClientRect()
    return Math.max(0, Math.min(values.length - 1, Math.floor(((event.clientX - left) / width) * values.length)))
  }
  return (
    <tr>
      <th scope="row">{name}</th>
      <td class="cells">
        {/* biome-ignore lint/a11y/useKeyWithClickEvents: the step can be typed where its rows are shown */}
        {/* biome-ignore lint/a11y/noStaticElementInteractions: as above */}
        <div
          class={onPick === undefined ? undefined : 'picked'}
          onMouseMove={(event) => {
            const index = indexAt(event)
            const value = values[index]
            event.currentTarget.title = `${name}, ${position(index)}: ${value === null ? 'no value' : formatValue(value)}`
          }}
          onClick={(event) => onPick?.(indexAt(event))}
        >
          <svg viewBox={`0 0 ${values.length} 1`} preserveAspectRatio="none" aria-hidden="true">
            {[...pathsOf(values, place)].map(([shade, path]) => (
              <path key={shade} d={path} fill={colorOf(shade)} shape-rendering="crispEdges" />
            ))}
          </svg>
        </div>
      </td>
      <td class="number">{formatValue(known.at(-1))}</td>
      <td class="number">{known.length === 0 ? '' : formatValue(Math.max(...known))}</td>
    </tr>
  )
}

export const HeatMap = ({ label, rowTitle, rows, ends, position, byRow, onPick }: HeatMapProps) => {
  const columns = rows.map(({ values }) => values.map((value) => value ?? Number.NaN))
  const all = scaleOver(columns, 'log')
  return (
    <Scroll label={label}>
      <table class="heat">
        <thead>
          <tr>
            <th scope="col">{rowTitle}</th>
            <th scope="col">
              <span class="ends">
                <span>{ends[0]}</span>
                <span>{ends[1]}</span>
              </span>
            </th>
            <th scope="col" class="number">
              Newest
            </th>
            <th scope="col" class="number">
              Highest
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            <Row
              key={row.key}
              row={row}
              place={(byRow ? scaleOver([columns[i]], 'log') : all).place}
              {...{ position, onPick }}
            />
          ))}
        </tbody>
      </table>
      <p class="row muted heat-scale">
        <span>{byRow ? 'lowest of the row' : formatValue(all.low)}</span>
        <span class="gradient" aria-hidden="true" />
        <span>{byRow ? 'highest of the row' : formatValue(all.high)}</span>
        <span>log scale</span>
      </p>
    </Scroll>
  )
}
