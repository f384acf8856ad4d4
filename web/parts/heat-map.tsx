// Values by row and position as colours: a strip of cells for each row, with its newest and its highest value as numbers beside it.
import { type Signal, useSignal } from '@preact/signals'
import { scaleOver } from '../../src/tracking/chart-scale.ts'
import { formatValue } from '../format.ts'
import { Scroll } from './scroll.tsx'

/** One row. */
interface HeatRow {
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

const moves: Record<string, (at: number, count: number) => number> = {
  ArrowLeft: (at) => at - 1,
  ArrowRight: (at) => at + 1,
  PageUp: (at, count) => at - Math.ceil(count / 10),
  PageDown: (at, count) => at + Math.ceil(count / 10),
  Home: () => 0,
  End: (_, count) => count - 1,
}

/** The strip of the row above or below one. */
const stripBeside = (strip: Element, rows: 1 | -1): HTMLElement | null | undefined => {
  const row = strip.closest('tr')
  const beside = rows === 1 ? row?.nextElementSibling : row?.previousElementSibling
  return beside?.querySelector<HTMLElement>('[role=slider]')
}

interface StripProps extends Pick<HeatMapProps, 'position' | 'onPick'> {
  row: HeatRow
  place(value: number): number
  /** Position of the keyboard, which all rows share. */
  at: Signal<number>
  /** Whether the tab key goes to this row; the arrow keys go to the others. */
  isFirst: boolean
}

/** The cells of a row: arrow left and right move over them, up and down go to the other rows, Enter picks. */
const Strip = ({ row: { name, values }, place, position, onPick, at, isFirst }: StripProps) => {
  const here = Math.max(0, Math.min(values.length - 1, at.value))
  const textOf = (index: number) => {
    const value = values[index] ?? null
    return `${name}, ${position(index)}: ${value === null ? 'no value' : formatValue(value)}`
  }
  const indexAt = (event: MouseEvent) => {
    const { left, width } = (event.currentTarget as Element).getBoundingClientRect()
    return Math.max(0, Math.min(values.length - 1, Math.floor(((event.clientX - left) / width) * values.length)))
  }
  const answerKey = (event: KeyboardEvent) => {
    const strip = event.currentTarget as Element
    if (Object.hasOwn(moves, event.key)) {
      const to = moves[event.key](here, values.length)
      at.value = Math.max(0, Math.min(values.length - 1, to))
    } else if (event.key === 'ArrowUp') stripBeside(strip, -1)?.focus()
    else if (event.key === 'ArrowDown') stripBeside(strip, 1)?.focus()
    else if (event.key === 'Enter' && onPick !== undefined) onPick(here)
    else return
    event.preventDefault()
  }
  return (
    <div
      class={onPick === undefined ? 'strip' : 'strip picked'}
      role="slider"
      tabIndex={isFirst ? 0 : -1}
      aria-label={name}
      aria-valuemin={0}
      aria-valuemax={Math.max(0, values.length - 1)}
      aria-valuenow={here}
      aria-valuetext={textOf(here)}
      onKeyDown={answerKey}
      onMouseMove={(event) => {
        event.currentTarget.title = textOf(indexAt(event))
      }}
      onClick={(event) => onPick?.(indexAt(event))}
    >
      <svg viewBox={`0 0 ${values.length} 1`} preserveAspectRatio="none" aria-hidden="true">
        {[...pathsOf(values, place)].map(([shade, path]) => (
          <path key={shade} d={path} fill={colorOf(shade)} shape-rendering="crispEdges" />
        ))}
      </svg>
      <span class="here" style={{ left: `${(100 * here) / values.length}%`, width: `${100 / values.length}%` }} />
      <span class="hint">{textOf(here)}</span>
    </div>
  )
}

const Row = (props: StripProps) => {
  const known = props.row.values.filter((value) => value !== null)
  return (
    <tr>
      <th scope="row">{props.row.name}</th>
      <td class="cells">
        <Strip {...props} />
      </td>
      <td class="number">{formatValue(known.at(-1))}</td>
      <td class="number">{known.length === 0 ? '' : formatValue(Math.max(...known))}</td>
    </tr>
  )
}

export const HeatMap = ({ label, rowTitle, rows, ends, position, byRow, onPick }: HeatMapProps) => {
  const columns = rows.map(({ values }) => values.map((value) => value ?? Number.NaN))
  const all = scaleOver(columns, 'log')
  const at = useSignal(0)
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
              isFirst={i === 0}
              {...{ position, onPick, at }}
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
