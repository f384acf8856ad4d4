// Sweeps: a list, and for each its trials with settings, scores and when they were pruned, while it runs and afterwards.
import type { SweepBest, SweepList, SweepRow } from '../../../src/serving/studio/types/api-types.ts'
import { formatInterval } from '../../format.ts'
import { Show } from '../../parts/loading.tsx'
import { Progress } from '../../parts/progress.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import { linkTo, route } from '../../router.ts'
import { usePolled } from './polled.ts'
import { SweepPage } from './sweep.tsx'
import './sweeps.css'
import { nameOf, stateClass } from './words.ts'

const Best = ({ best, axes, metric }: { best: SweepBest; axes: readonly string[]; metric: string | null }) => (
  <>
    {metric} {formatInterval(best)}
    <div class="muted">{axes.map((axis, i) => `${axis} ${best.values[i]}`).join(', ')}</div>
  </>
)

const Row = ({ row }: { row: SweepRow }) => (
  <tr>
    <th scope="row">
      <a href={linkTo(['sweeps', row.id])}>{nameOf(row.id)}</a>
    </th>
    {row.fault === null ? (
      <>
        <td>
          <span class={`state ${stateClass(row.state)}`}>{row.state}</span>
        </td>
        <td class="trials">
          <Progress share={row.planned === 0 ? 0 : row.over / row.planned} label={`Trials of ${nameOf(row.id)}`} />{' '}
          {row.over} / {row.planned}
        </td>
        <td>
          {row.method} <div class="muted">{row.axes.join(', ')}</div>
        </td>
        <td>{row.best === null ? '' : <Best best={row.best} axes={row.axes} metric={row.metric} />}</td>
        <td>{row.title}</td>
      </>
    ) : (
      <td colSpan={5} class="error">
        {row.fault}
      </td>
    )}
  </tr>
)

const SweepTable = ({ sweeps }: SweepList) => (
  <div class="panel">
    <Scroll label="Sweeps">
      <table>
        <thead>
          <tr>
            <th scope="col">Sweep</th>
            <th scope="col">State</th>
            <th scope="col">Trials</th>
            <th scope="col">Method</th>
            <th scope="col">Best so far</th>
            <th scope="col">Trains</th>
          </tr>
        </thead>
        <tbody>
          {sweeps.map((row) => (
            <Row key={row.id} row={row} />
          ))}
        </tbody>
      </table>
    </Scroll>
  </div>
)

const SweepsPage = () => {
  const list = usePolled<SweepList>('/api/sweeps')
  return (
    <>
      <div class="head">
        <h1>Sweeps</h1>
      </div>
      <Show of={list}>
        {({ sweeps }) =>
          sweeps.length === 0 ? (
            <p class="muted">
              There are no sweeps yet. <code>tunesmith sweep</code> trains one recipe with many settings, such as{' '}
              <code>--over.learning-rate 1e-5..1e-3:log --search.method asha</code>, and they appear here.
            </p>
          ) : (
            <SweepTable sweeps={sweeps} />
          )
        }
      </Show>
    </>
  )
}

/** The list, or the sweep that the address names. */
export default () => {
  const [, id] = route.value.parts
  return id === undefined ? <SweepsPage /> : <SweepPage key={id} id={id} />
}
