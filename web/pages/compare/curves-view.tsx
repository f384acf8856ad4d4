// Curves of the chosen runs in one chart, by step, tokens, time or money.
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { BucketedCurve, Curves, RunDetails } from '../../../src/serving/studio/types/api-types.ts'
import { getJson, runPath } from '../../api.ts'
import { formatValue } from '../../format.ts'
import { runRow } from '../../live-runs.ts'
import { axisFormats, runAxis } from '../../parts/axes.ts'
import { Chart, type ChartCurve } from '../../parts/chart.tsx'
import { smooth } from '../../parts/smoothing.ts'
import { queryChoice, queryNumber, route, setQuery } from '../../router.ts'
import { PriceField, typedPrice } from './price-field.tsx'
import { chosenIds, dashes, maxCurves, shortName } from './selection.ts'

const axes = { step: 'Step', tokens: 'Tokens', time: 'Time', money: 'Money' } as const
type Axis = keyof typeof axes

const buckets = 600
const refreshMs = 2000

interface RunCurves {
  /** Time of the newest event that they have. */
  updated: string | null
  id: string
  answer: Curves | undefined
  names: string[]
  error: string | undefined
}

const namesOf = ({ columns }: RunDetails): string[] => [
  ...columns.training,
  ...columns.evaluations,
  ...columns.rollouts,
  ...columns.measured,
]

const loadCurves = async (id: string, name: string, signal: AbortSignal): Promise<RunCurves> => {
  try {
    const [details, answer] = await Promise.all([
      getJson<RunDetails>(runPath(id), signal),
      getJson<Curves>(runPath(id, `/curves?names=${encodeURIComponent(name)}&buckets=${buckets}`), signal),
    ])
    return { id, answer, names: namesOf(details), updated: details.row.updated, error: undefined }
  } catch (error) {
    return { id, answer: undefined, names: [], updated: null, error: (error as Error).message }
  }
}

/** Whether a run has gone on since its curves were read; the last of them come after its end. */
const isBehind = ({ id, updated }: RunCurves): boolean => {
  const row = runRow(id)
  return row !== undefined && row.updated !== updated
}

/** The curves of some runs, again after one of them has gone on. */
const useCurves = (ids: readonly string[], name: string): RunCurves[] | undefined => {
  const state = useSignal<RunCurves[] | undefined>(undefined)
  useEffect(() => {
    const controller = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const load = async () => {
      const found = await Promise.all(ids.map((id) => loadCurves(id, name, controller.signal)))
      if (controller.signal.aborted) return
      state.value = found
      const wait = () => {
        if (found.some(isBehind)) void load()
        else timer = setTimeout(wait, refreshMs)
      }
      timer = setTimeout(wait, refreshMs)
    }
    void load()
    return () => {
      controller.abort()
      clearTimeout(timer)
    }
  }, [ids.join('\n'), name])
  return state.value
}

/** Price per hour: that of the recipe, else the one that was typed. */
const priceOf = (id: string, typed: number | undefined): number | undefined => {
  const row = runRow(id)
  return row?.cost && row.seconds > 0 ? (row.cost.amount / row.seconds) * 3600 : typed
}

/** Where a step is on an axis; money is time at a price. */
const xOf = (kind: Axis, axis: Curves['axis'], price: number | undefined): ((step: number) => number) => {
  if (kind !== 'money') return runAxis(kind, axis).ofStep
  const { ofStep } = runAxis('time', axis)
  return (step) => (ofStep(step) / 3600) * (price ?? Number.NaN)
}

interface CurveOptions {
  axis: Axis
  smoothing: number
  price: number | undefined
  ids: readonly string[]
}

const chartCurve = (
  { id, answer }: RunCurves,
  curve: BucketedCurve,
  { axis, smoothing, price, ids }: CurveOptions,
): ChartCurve => {
  const n = ids.indexOf(id)
  const band = smoothing === 0 ? { low: curve.min, high: curve.max } : {}
  return {
    name: shortName(id, ids),
    x: curve.steps.map(xOf(axis, answer!.axis, priceOf(id, price))),
    y: smoothing === 0 ? curve.last : smooth(curve.last, smoothing),
    color: n,
    dash: dashes[n % dashes.length],
    ...band,
  }
}

const Controls = ({ names, name, axis }: { names: readonly string[]; name: string; axis: Axis }) => {
  const { query } = route.value
  return (
    <div class="row controls">
      <label>
        Curve{' '}
        <select value={name} onChange={(event) => setQuery({ curve: event.currentTarget.value })}>
          {names.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
      </label>
      <label>
        By{' '}
        <select value={axis} onChange={(event) => setQuery({ by: event.currentTarget.value })}>
          {Object.entries(axes).map(([key, title]) => (
            <option key={key} value={key}>
              {title}
            </option>
          ))}
        </select>
      </label>
      {axis === 'money' && <PriceField title="Price per hour" />}
      <label>
        Smoothing{' '}
        <input
          type="range"
          min="0"
          max="0.99"
          step="0.01"
          value={query.get('smooth') ?? '0'}
          onInput={(event) =>
            setQuery({ smooth: event.currentTarget.value === '0' ? undefined : event.currentTarget.value })
          }
        />
      </label>
      <label>
        <input
          type="checkbox"
          checked={query.get('log') === '1'}
          onChange={(event) => setQuery({ log: event.currentTarget.checked ? '1' : undefined })}
        />{' '}
        Log scale
      </label>
    </div>
  )
}

export const CurvesView = () => {
  const { query } = route.value
  const all = chosenIds()
  const ids = all.slice(0, maxCurves)
  const name = query.get('curve') ?? 'loss'
  const axis = queryChoice('by', Object.keys(axes) as Axis[])
  const price = typedPrice()
  const smoothing = Math.min(0.99, Math.max(0, queryNumber('smooth') ?? 0))
  const range = useSignal<[number, number] | undefined>(undefined)
  useEffect(() => {
    range.value = undefined
  }, [axis, name])
  // A run that is no longer chosen stays until the others are loaded without it.
  const loaded = useCurves(ids, name)?.filter(({ id }) => ids.includes(id))
  if (loaded === undefined) return <p class="muted">Loading …</p>
  const names = [...new Set([name, ...loaded.flatMap((run) => run.names)])]
  const drawn = loaded.filter(({ answer }) => (answer?.curves[0]?.steps.length ?? 0) > 0)
  const unpriced = axis === 'money' ? drawn.filter(({ id }) => priceOf(id, price) === undefined) : []
  const curves = drawn
    .filter((run) => !unpriced.includes(run))
    .map((run) => chartCurve(run, run.answer!.curves[0], { axis, smoothing, price, ids }))
  const without = loaded.filter((run) => run.error === undefined && !drawn.includes(run))
  return (
    <section class="panel" aria-label="Curves">
      <Controls names={names} name={name} axis={axis} />
      {all.length > maxCurves && (
        <p class="muted">
          Curves of the first {maxCurves} of {all.length} runs.
        </p>
      )}
      {unpriced.length > 0 && (
        <p class="muted">
          No price per hour in the recipe of {unpriced.map(({ id }) => id).join(', ')}: type one to place{' '}
          {unpriced.length === 1 ? 'it' : 'them'}.
        </p>
      )}
      {without.length > 0 && (
        <p class="muted">
          {without.map(({ id }) => id).join(', ')}: no values of {name}.
        </p>
      )}
      {loaded.map(({ id, error }) =>
        error === undefined ? null : (
          <p class="error" role="alert" key={id}>
            {id}: {error}
          </p>
        ),
      )}
      {curves.length > 0 && (
        <Chart
          label={`${name} by ${axes[axis].toLowerCase()}`}
          curves={curves}
          height={380}
          logY={query.get('log') === '1'}
          range={range.value}
          onRange={(next) => {
            range.value = next
          }}
          exportName={`${name} of ${curves.length} runs`}
          exportX={axis}
          formatX={axis === 'money' ? formatValue : axisFormats[axis]}
        />
      )}
    </section>
  )
}
