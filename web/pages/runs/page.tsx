// The table of all runs.
import type { RunRow } from '../../../src/serving/studio/api-types.ts'
import { formatCount, formatDuration, formatTime, formatValue } from '../../format.ts'
import { runRows, runsLoaded } from '../../live-runs.ts'
import { Spark } from '../../parts/spark.tsx'
import { type TableColumn, VirtualTable } from '../../parts/virtual-table.tsx'
import { linkTo, route } from '../../router.ts'
import { RunPage } from '../run/page.tsx'

const columns: readonly TableColumn<RunRow>[] = [
  { key: 'run', title: 'Run', cell: (run) => <a href={linkTo(['runs', run.id])}>{run.id}</a>, sort: ({ id }) => id },
  {
    key: 'state',
    title: 'State',
    cell: ({ state, message }) => (
      <span class={`state ${state}`} title={message ?? undefined}>
        {state}
      </span>
    ),
    sort: ({ state }) => state,
  },
  { key: 'title', title: 'Trains', cell: ({ title }) => title, sort: ({ title }) => title },
  { key: 'spark', title: 'Loss so far', cell: ({ spark }) => <Spark values={spark} /> },
  {
    key: 'step',
    title: 'Step',
    number: true,
    cell: ({ step, totalSteps }) => (totalSteps === null ? step : `${step} / ${totalSteps}`),
    sort: ({ step }) => step,
  },
  { key: 'loss', title: 'Loss', number: true, cell: ({ loss }) => formatValue(loss), sort: ({ loss }) => loss },
  {
    key: 'best',
    title: 'Best score',
    number: true,
    cell: ({ best }) => best && `${best.metric} ${formatValue(best.value)}`,
    sort: ({ best }) => best?.value ?? null,
  },
  {
    key: 'tokens',
    title: 'Tokens',
    number: true,
    cell: ({ tokens }) => formatCount(tokens),
    sort: ({ tokens }) => tokens,
  },
  {
    key: 'time',
    title: 'Time',
    number: true,
    cell: ({ seconds }) => formatDuration(seconds * 1000),
    sort: ({ seconds }) => seconds,
  },
  { key: 'updated', title: 'Last event', cell: ({ updated }) => formatTime(updated), sort: ({ updated }) => updated },
]

const RunsTable = () => (
  <>
    <div class="head">
      <h1>Runs</h1>
      <span class="muted">{runsLoaded.value ? `${runRows.value.length} runs` : 'Loading …'}</span>
    </div>
    <VirtualTable label="Runs" columns={columns} rows={runRows.value} rowKey={({ id }) => id} />
  </>
)

/** The table, or the run that the address names. */
export default () => {
  const [, id] = route.value.parts
  return id === undefined ? <RunsTable /> : <RunPage key={id} id={id} />
}
