// One run: its state, its curves, and what happened.
import type { BucketedCurve, Curves, RunDetails } from '../../../src/serving/studio/api-types.ts'
import { runPath } from '../../api.ts'
import { formatCount, formatDuration, formatValue } from '../../format.ts'
import { runRow } from '../../live-runs.ts'
import { Chart, type ChartCurve } from '../../parts/chart.tsx'
import { Show, useJson } from '../../parts/loading.tsx'
import { linkTo } from '../../router.ts'

const curveOf = ({ name, steps, min, max, last }: BucketedCurve): ChartCurve => ({
  name,
  x: steps,
  y: last,
  low: min,
  high: max,
})

export const RunPage = ({ id }: { id: string }) => {
  const details = useJson<RunDetails>(runPath(id))
  const names = details.value.data?.columns
  const wanted = names === undefined ? undefined : ['loss', ...names.evaluations].join(',')
  const curves = useJson<Curves>(wanted && runPath(id, `/curves?names=${encodeURIComponent(wanted)}&buckets=1000`))
  const row = runRow(id) ?? details.value.data?.row
  return (
    <>
      <div class="head">
        <h1>{id}</h1>
        {row && <span class={`state ${row.state}`}>{row.state}</span>}
        <a href={linkTo(['runs'])}>All runs</a>
      </div>
      <Show of={details.value}>
        {() => (
          <div class="row muted">
            <span>{row?.title}</span>
            <span>
              step {row?.step} of {row?.totalSteps ?? '?'}
            </span>
            <span>loss {formatValue(row?.loss)}</span>
            <span>{formatCount(row?.tokens ?? 0)} tokens</span>
            <span>{formatDuration((row?.seconds ?? 0) * 1000)}</span>
          </div>
        )}
      </Show>
      <Show of={curves.value}>
        {({ curves }) => (
          <div class="grid">
            {curves.map((curve) => (
              <div class="panel" key={curve.name}>
                <Chart label={`${curve.name} by step`} curves={[curveOf(curve)]} syncKey="run" />
              </div>
            ))}
          </div>
        )}
      </Show>
    </>
  )
}
