// Curves on a canvas, by uPlot: extremes as a band, marks on the axis, zoom by dragging that other charts can share.
import { type Signal, useSignal } from '@preact/signals'
import { useEffect, useId, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { saveCsv, saveSvg } from './chart-files.ts'
import { answerKey, keysText } from './chart-keys.ts'
import type { ChartCurve, ChartMark, ChartProps } from './chart-types.ts'
import 'uplot/dist/uPlot.min.css'
import { formatTick } from '../../src/tracking/chart-scale.ts'
import { formatBytes, formatValue } from '../format.ts'
import { colorOf, curveVariable, theme } from '../theme.ts'
import { CurveSample } from './curve-sample.tsx'

export type { ChartCurve, ChartMark } from './chart-types.ts'

const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a === b || (a.length === b.length && a.every((value, i) => value === b[i]))

/** Columns of uPlot: a common x, and for each curve its values and, if it has them, its extremes. */
const alignedData = (curves: readonly ChartCurve[]): uPlot.AlignedData => {
  const tables = curves.map(({ x, y, low, high }) =>
    low !== undefined && high !== undefined ? [x, y, low, high] : [x, y],
  ) as unknown as uPlot.AlignedData[]
  if (tables.length === 0) return [[]] as unknown as uPlot.AlignedData
  // Joining sorts all values, which takes longer than drawing them.
  const shared = curves.every(({ x }) => isSame(x, curves[0].x))
  if (shared) return [tables[0][0], ...tables.flatMap((table) => table.slice(1))] as unknown as uPlot.AlignedData
  return uPlot.join(tables)
}

const seriesOf = (curves: readonly ChartCurve[]): { series: uPlot.Series[]; bands: uPlot.Band[] } => {
  const series: uPlot.Series[] = [{}]
  const bands: uPlot.Band[] = []
  curves.forEach(({ name, color, dash = [], faint, low, high }, i) => {
    const full = colorOf(curveVariable(color ?? i))
    const stroke = faint ? `${full}55` : full
    const points = { show: curves[i].x.length < 40 }
    series.push({ label: name, stroke, width: 1.5, points, spanGaps: true, dash: [...dash] })
    if (low === undefined || high === undefined) return
    const edge = { stroke: 'transparent', points: { show: false }, spanGaps: true, width: 0 }
    series.push({ ...edge, label: `${name}, lowest` }, { ...edge, label: `${name}, highest` })
    bands.push({ series: [series.length - 1, series.length - 2], fill: `${full}${faint ? '1c' : '33'}` })
  })
  return { series, bands }
}

const drawMarks = (plot: uPlot, marks: readonly ChartMark[]): void => {
  const { ctx, bbox } = plot
  ctx.save()
  for (const { x, color } of marks) {
    const at = plot.valToPos(x, 'x', true)
    if (at < bbox.left || at > bbox.left + bbox.width) continue
    ctx.strokeStyle = colorOf(color)
    ctx.lineWidth = devicePixelRatio
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio])
    ctx.beginPath()
    ctx.moveTo(at, bbox.top)
    ctx.lineTo(at, bbox.top + bbox.height)
    ctx.stroke()
  }
  ctx.restore()
}

const axisOf = (more: Partial<uPlot.Axis>): uPlot.Axis => ({
  stroke: colorOf('--muted'),
  grid: { stroke: colorOf('--line'), width: 1 },
  ticks: { stroke: colorOf('--line'), width: 1 },
  ...more,
})

/** Distances of ticks that are round as bytes. */
const byteIncrements = Array.from({ length: 60 }, (_, power) => 2 ** power)

/** Pixels that the mouse may move in a click. */
const clickSlack = 3

const optionsOf = (
  props: ChartProps,
  width: number,
  current: () => ChartProps,
  onCursor: (x: number | undefined) => void,
): uPlot.Options => {
  const { curves, height = 240, logX, logY, syncKey, range } = props
  const { series, bands } = seriesOf(curves)
  return {
    width,
    height,
    series,
    bands,
    legend: { show: false },
    scales: {
      x: {
        time: false,
        distr: logX ? 3 : 1,
        ...(range === undefined ? {} : { range: () => [...range] as [number, number] }),
      },
      y: { distr: logY ? 3 : 1 },
    },
    axes: [
      axisOf({
        size: 36,
        values: (_, splits) => splits.map((x) => (x === null ? '' : (current().formatX ?? String)(x))),
      }),
      axisOf({
        size: 64,
        ...(current().ofBytes ? { incrs: byteIncrements } : {}),
        values: (_, splits) =>
          splits.map((y) =>
            y === null ? '' : (current().ofBytes ? formatBytes : (current().formatY ?? formatTick))(y),
          ),
      }),
    ],
    cursor: {
      ...(syncKey === undefined ? {} : { sync: { key: syncKey } }),
      drag: { x: true, y: false, setScale: false },
    },
    hooks: {
      setCursor: [
        (plot) => {
          const { left = -1 } = plot.cursor
          onCursor(left < 0 ? undefined : plot.posToVal(left, 'x'))
        },
      ],
      draw: [(plot) => drawMarks(plot, current().marks ?? [])],
      setSelect: [
        (plot) => {
          const { left, width: selected } = plot.select
          if (selected <= clickSlack) return
          current().onRange?.([plot.posToVal(left, 'x'), plot.posToVal(left + selected, 'x')])
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        },
      ],
    },
  }
}

/** What must be equal for the plot to be kept while its data change. */
const shapeOf = ({ curves, height, logX, logY, syncKey, range }: ChartProps): string =>
  JSON.stringify([
    curves.map(({ name, low, color, dash, faint }) => [name, low !== undefined, color, dash, faint]),
    height,
    logX,
    logY,
    syncKey,
    range,
  ])

/** What a chart says of a value of y. */
const valueText = (props: ChartProps, value: number | null | undefined): string =>
  typeof value !== 'number' ? '' : (props.ofBytes ? formatBytes : (props.formatY ?? formatValue))(value)

/** The value of a curve at its point nearest to x; of a bucket of steps, its highest. */
const valueAt = ({ x, y, high = y }: ChartCurve, at: number): number | null => {
  let low = 0
  let end = x.length - 1
  while (end - low > 1) {
    const middle = (low + end) >> 1
    if (x[middle] <= at) low = middle
    else end = middle
  }
  const i = end >= 0 && Math.abs(x[end] - at) < Math.abs(x[low] - at) ? end : low
  return high[i] ?? y[i] ?? null
}

/** The curves with their values at the cursor, or their last ones. */
const Legend = ({ props, cursor }: { props: ChartProps; cursor: Signal<number | undefined> }) => {
  const at = cursor.value
  const textOf = (curve: ChartCurve) =>
    valueText(props, at === undefined ? curve.y.findLast((value) => value !== null) : valueAt(curve, at))
  return (
    <div class="legend">
      {props.curves.map((curve, i) => (
        <span key={curve.name}>
          <CurveSample n={curve.color ?? i} dash={curve.dash} />
          {curve.name} <span class="muted">{textOf(curve)}</span>
        </span>
      ))}
      {at !== undefined && (
        <span class="muted">
          {props.exportX ?? 'step'} {(props.formatX ?? formatValue)(at)}
        </span>
      )}
    </div>
  )
}

/** Says where the cursor is, to people who move it by keyboard. */
const Spoken = ({ props, x }: { props: ChartProps; x: Signal<number | undefined> }) => {
  const at = x.value
  const values = props.curves.map(
    (curve) => `${curve.name} ${valueText(props, at === undefined ? null : valueAt(curve, at))}`,
  )
  return (
    <span class="visually-hidden" role="status">
      {at === undefined ? '' : `${props.exportX ?? 'step'} ${(props.formatX ?? formatValue)(at)}: ${values.join(', ')}`}
    </span>
  )
}

/** Draws the curves into an element, and again where what they are has changed. */
const usePlot = (props: ChartProps, onCursor: (x: number | undefined) => void) => {
  const frame = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const latest = useRef(props)
  latest.current = props
  useEffect(() => {
    const element = frame.current!
    const made = new uPlot(
      optionsOf(latest.current, element.clientWidth || 600, () => latest.current, onCursor),
      alignedData(latest.current.curves),
      element,
    )
    plot.current = made
    const resize = new ResizeObserver(() =>
      made.setSize({ width: element.clientWidth, height: latest.current.height ?? 240 }),
    )
    resize.observe(element)
    const over = made.over
    let downAt = 0
    over.addEventListener('mousedown', ({ clientX }) => {
      downAt = clientX
    })
    over.addEventListener('click', ({ clientX }) => {
      if (Math.abs(clientX - downAt) > clickSlack) return
      latest.current.onPick?.(made.posToVal(made.cursor.left ?? 0, 'x'))
    })
    over.addEventListener('dblclick', () => latest.current.onRange?.(undefined))
    return () => {
      resize.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [`${shapeOf(props)} ${theme.value}`])
  useEffect(() => {
    plot.current?.setData(alignedData(props.curves))
  }, [props.curves, props.marks])
  return { frame, plot }
}

const Export = ({ props }: { props: ChartProps }) => (
  <div class="row export">
    <button type="button" aria-label={`${props.label} as SVG`} onClick={() => saveSvg(props)}>
      SVG
    </button>
    <button type="button" aria-label={`${props.label} as CSV`} onClick={() => saveCsv(props)}>
      CSV
    </button>
  </div>
)

export const Chart = (props: ChartProps) => {
  const { label, onPick, onRange } = props
  const cursor = useSignal<number | undefined>(undefined)
  const spoken = useSignal<number | undefined>(undefined)
  const keys = useId()
  const { frame, plot } = usePlot(props, (x) => {
    cursor.value = x
  })
  const move = (x: number) => {
    spoken.value = x
    plot.current?.setCursor({ left: plot.current.valToPos(x, 'x'), top: 10 })
  }
  const forget = () => {
    spoken.value = undefined
    plot.current?.setCursor({ left: -10, top: -10 })
  }
  return (
    <figure class="chart" aria-label={label}>
      {(props.title !== undefined || props.exportName !== undefined) && (
        <div class="row spread">
          {props.title === undefined ? <span /> : <h2>{props.title}</h2>}
          {props.exportName !== undefined && <Export props={props} />}
        </div>
      )}
      <Legend props={props} cursor={cursor} />
      <div
        ref={frame}
        class="plot"
        role="application"
        aria-label={label}
        aria-describedby={keys}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: keys move the cursor of the chart
        tabIndex={0}
        style={{ cursor: onPick === undefined ? 'default' : 'pointer' }}
        onKeyDown={(event) => {
          if (plot.current !== null) answerKey(plot.current, props, event, { at: spoken.value ?? cursor.value, move })
        }}
        onBlur={forget}
      />
      <p class="keys muted" id={keys}>
        {keysText(props)}
      </p>
      <Spoken props={props} x={spoken} />
      {onRange !== undefined && props.range !== undefined && (
        <button type="button" onClick={() => onRange(undefined)}>
          Show all
        </button>
      )}
    </figure>
  )
}
