// A chart by keyboard: the cursor moves over its points, the range of x narrows and widens around it, and a point is picked as by a click.
import type uPlot from 'uplot'
import type { ChartProps } from './chart-types.ts'

/** What the keys of a chart do, for its description. */
export const keysText = ({ onPick, onRange }: Pick<ChartProps, 'onPick' | 'onRange'>): string =>
  [
    'Arrow left and right: next point, with Shift a tenth of the chart.',
    'Arrow up and down: highest and lowest point.',
    ...(onPick === undefined ? [] : ['Enter: rows of the step.']),
    ...(onRange === undefined ? [] : ['Plus and minus: zoom. Escape: show all.']),
  ].join(' ')

type Props = Pick<ChartProps, 'curves' | 'onPick' | 'onRange' | 'extent'>

const finiteOr = (value: number | null | undefined, otherwise: number): number =>
  typeof value === 'number' && Number.isFinite(value) ? value : otherwise

/** The points of the first curve within the visible range, in their order. */
const pointsOf = ({ curves }: Props, [from, to]: readonly [number, number]) => {
  if (curves.length === 0) return []
  const { x, y, low = y, high = y } = curves[0]
  return x.flatMap((at, i) =>
    at >= from && at <= to && y[i] !== null
      ? [{ x: at, low: finiteOr(low[i], Number(y[i])), high: finiteOr(high[i], Number(y[i])) }]
      : [],
  )
}

const rangeOf = (plot: uPlot): [number, number] => [plot.scales.x.min ?? 0, plot.scales.x.max ?? 1]

/** Index of the point that is nearest to x. */
const nearest = (points: readonly { x: number }[], x: number): number =>
  points.reduce((best, point, i) => (Math.abs(point.x - x) < Math.abs(points[best].x - x) ? i : best), 0)

/** The x that a key moves the cursor to; undefined for another key. */
const movedTo = (plot: uPlot, props: Props, event: KeyboardEvent, at: number | undefined): number | undefined => {
  const points = pointsOf(props, rangeOf(plot))
  if (points.length === 0) return undefined
  const last = points.length - 1
  const here = at === undefined ? undefined : nearest(points, at)
  const stride = event.shiftKey ? Math.max(1, Math.round(points.length / 10)) : 1
  const moves: Record<string, () => number> = {
    ArrowRight: () => (here === undefined ? 0 : Math.min(last, here + stride)),
    ArrowLeft: () => (here === undefined ? last : Math.max(0, here - stride)),
    Home: () => 0,
    End: () => last,
    ArrowUp: () => points.reduce((best, { high }, i) => (high > points[best].high ? i : best), 0),
    ArrowDown: () => points.reduce((best, { low }, i) => (low < points[best].low ? i : best), 0),
  }
  return Object.hasOwn(moves, event.key) ? points[moves[event.key]()].x : undefined
}

/** The range that a key zooms to, `all` for the whole; undefined for another key. */
const zoomedTo = (
  plot: uPlot,
  { extent }: Props,
  { key }: KeyboardEvent,
  at: number | undefined,
): [number, number] | 'all' | undefined => {
  if (key === 'Escape' || key === '0') return 'all'
  const factor = key === '+' || key === '=' ? 0.5 : key === '-' ? 2 : undefined
  if (factor === undefined) return undefined
  const [from, to] = rangeOf(plot)
  const middle = at ?? (from + to) / 2
  const [first, end] = extent ?? [plot.data[0][0], plot.data[0].at(-1) ?? 1]
  const low = Math.max(first, middle - factor * (middle - from))
  const high = Math.min(end, middle + factor * (to - middle))
  return low <= first && high >= end ? 'all' : [low, high]
}

/**
 * Answers a key of a focused chart.
 * @param at x of the cursor, where it is in the chart
 * @param move called with the x that the cursor goes to
 */
export const answerKey = (
  plot: uPlot,
  props: Props,
  event: KeyboardEvent,
  { at, move }: { at: number | undefined; move(x: number): void },
): void => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  const x = movedTo(plot, props, event, at)
  const range = props.onRange === undefined ? undefined : zoomedTo(plot, props, event, at)
  if (x !== undefined) move(x)
  else if (range !== undefined) props.onRange?.(range === 'all' ? undefined : range)
  else if (event.key === 'Enter' && at !== undefined && props.onPick !== undefined) props.onPick(at)
  else return
  event.preventDefault()
}
