// The curves of a run: live, smoothed, zoomed together, over steps, tokens or time. Every choice is in the address.
import type { BucketedCurve, Curves, RunDetails } from '../../../src/serving/studio/types/api-types.ts'
import { getJson, runPath } from '../../api.ts'
import { axisNames, runAxis } from '../../parts/axes.ts'
import { Chart } from '../../parts/chart.tsx'
import { Show, useJson } from '../../parts/loading.tsx'
import { queryChoice, queryNumber, route, setQuery } from '../../router.ts'
import { sharedFile } from '../../shared-file.ts'
import { chartsOfRun, curvesOf, type RunChart } from './charts-of-run.ts'
import { LayerNorms } from './layer-norms.tsx'
import { linesOf, MarkStrip, marksOf } from './marks.tsx'

/** Charts that are drawn; a run may measure hundreds of values. */
const maxCharts = 40

const buckets = 1000

/** Largest weight of the past of the smoothing slider. */
const maxSmoothing = 0.999

const Controls = () => {
  const { query } = route.value
  const smoothing = queryNumber('smooth') ?? 0
  const toggle = (name: string) => setQuery({ [name]: query.get(name) === null ? '1' : undefined })
  return (
    <fieldset class="row controls">
      <legend class="visually-hidden">How the curves are drawn</legend>
      <label>
        Smoothing{' '}
        <input
          type="range"
          min="0"
          max={maxSmoothing}
          step="0.001"
          value={smoothing}
          onInput={({ currentTarget: { value } }) => setQuery({ smooth: Number(value) === 0 ? undefined : value })}
        />{' '}
        <span class="mono">{smoothing.toFixed(2)}</span>
      </label>
      <label>
        x axis{' '}
        <select
          value={queryChoice('axis', axisNames)}
          onChange={({ currentTarget: { value } }) => setQuery({ axis: value === 'step' ? undefined : value })}
        >
          {axisNames.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        <input type="checkbox" checked={query.get('logx') !== null} onChange={() => toggle('logx')} /> log x
      </label>
      <label>
        <input type="checkbox" checked={query.get('logy') !== null} onChange={() => toggle('logy')} /> log y
      </label>
      {query.get('from') !== null && (
        <button type="button" onClick={() => setQuery({ from: undefined, to: undefined })}>
          Show all steps
        </button>
      )}
    </fieldset>
  )
}

const higherOf = (values: readonly (number | null)[], a: number, b: number): number =>
  (values[b] ?? Number.NEGATIVE_INFINITY) > (values[a] ?? Number.NEGATIVE_INFINITY) ? b : a

/** The step of the highest value near a click: a bucket of the drawn curve has many steps. */
const stepOfSpike = async (id: string, curve: BucketedCurve, step: number): Promise<number> => {
  const after = curve.steps.findIndex((first) => first > step)
  const i = Math.max(0, (after < 0 ? curve.steps.length : after) - 1)
  // The click may be a few pixels beside the peak.
  const near = [i - 2, i - 1, i, i + 1, i + 2].filter((at) => at >= 0 && at < curve.steps.length)
  const best = near.reduce((a, b) => higherOf(curve.max, a, b), i)
  const from = curve.steps[best]
  const next = curve.steps[best + 1]
  if (next === undefined || next - from <= 1) return from
  const query = `names=${encodeURIComponent(curve.name)}&from=${from}&to=${next - 1}&buckets=10000`
  const { curves } = await getJson<Curves>(runPath(id, `/curves?${query}`))
  const { steps, max } = curves[0]
  return steps[max.reduce((a: number, _, b) => higherOf(max, a, b), 0)] ?? from
}

interface RunCurvesProps {
  id: string
  details: RunDetails
  version: number
  onStep(step: number): void
}

export const RunCurves = ({ id, details, version, onStep }: RunCurvesProps) => {
  const charts = chartsOfRun(details.columns)
  const shown = charts.slice(0, maxCharts)
  const names = shown.flatMap(({ columns }) => columns).slice(0, 64)
  const range = [queryNumber('from'), queryNumber('to')] as const
  const limits = range
    .map((at, i) => (at === undefined ? '' : `&${i === 0 ? 'from' : 'to'}=${Math.max(0, Math.round(at))}`))
    .join('')
  const path = `/curves?names=${encodeURIComponent(names.join(','))}${limits}&buckets=${buckets}`
  const curves = useJson<Curves>(names.length === 0 ? undefined : runPath(id, path), version)
  const marks = marksOf(details)
  if (names.length === 0) return <p class="muted">There are no steps yet.</p>
  return (
    <>
      <Controls />
      <Show of={curves.value}>
        {(answer) => <Charts {...{ id, details, charts: shown, answer, marks, range, limits, version, onStep }} />}
      </Show>
      {charts.length > maxCharts && (
        <p class="muted">
          {maxCharts} of {charts.length} charts are drawn.
        </p>
      )}
    </>
  )
}

interface ChartsProps extends RunCurvesProps {
  charts: readonly RunChart[]
  answer: Curves
  marks: ReturnType<typeof marksOf>
  range: readonly [number | undefined, number | undefined]
  /** The range as a query. */
  limits: string
}

const Charts = ({ id, details, charts, answer, marks, range, limits, version, onStep }: ChartsProps) => {
  const { query } = route.value
  const name = queryChoice('axis', axisNames)
  const axis = runAxis(name, answer.axis)
  const logX = query.get('logx') !== null
  const logY = query.get('logy') !== null
  const view = { axis, smoothing: Math.min(maxSmoothing, queryNumber('smooth') ?? 0), logY }
  const steps = answer.axis.steps
  const [from, to] = [range[0] ?? steps[0] ?? 0, range[1] ?? answer.lastStep]
  const zoomed = range[0] !== undefined || range[1] !== undefined
  const shown: [number, number] = [axis.ofStep(from), axis.ofStep(to)]
  const setRange = (values: [number, number] | undefined) =>
    setQuery(
      values === undefined
        ? { from: undefined, to: undefined }
        : { from: String(Math.floor(axis.toStep(values[0]))), to: String(Math.ceil(axis.toStep(values[1]))) },
    )
  const pick = async (chart: RunChart, x: number) => {
    const curve = answer.curves.find((each) => each.name === chart.columns[0])
    if (curve !== undefined && curve.steps.length > 0) onStep(await stepOfSpike(id, curve, axis.toStep(x)))
  }
  return (
    <>
      {!logX && <MarkStrip marks={marks} axis={axis} range={shown} onStep={onStep} />}
      <div class="grid">
        {charts.map((chart) => (
          <div class="panel" key={chart.key}>
            <Chart
              label={`${chart.title} by ${name}`}
              title={chart.title}
              curves={curvesOf(chart, answer, view, details.predictedBytes)}
              marks={linesOf(marks, axis)}
              {...{ logX, logY }}
              syncKey="run"
              range={zoomed ? shown : undefined}
              onRange={setRange}
              extent={[axis.ofStep(1), axis.ofStep(answer.lastStep)]}
              {...(chart.ofBatches && sharedFile === undefined ? { onPick: (x: number) => void pick(chart, x) } : {})}
              formatX={axis.format}
              ofBytes={chart.ofBytes}
              exportName={`${id} ${chart.title}`}
              exportX={name}
            />
          </div>
        ))}
      </div>
      {details.columns.layers.length > 0 && (
        <LayerNorms
          {...{ id, limits, axis, version }}
          columns={details.columns.layers}
          axisName={name}
          {...(sharedFile === undefined ? { onStep } : {})}
        />
      )}
    </>
  )
}
