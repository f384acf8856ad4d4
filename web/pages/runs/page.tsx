// The table of all runs.
import { useSignal } from '@preact/signals'
import type { RunRow } from '../../../src/serving/studio/types/api-types.ts'
import { formatCost, formatCount, formatDuration, formatTime, formatValue } from '../../format.ts'
import { runRow, runRows, runsLoaded, runTotal } from '../../live-runs.ts'
import { Modal } from '../../parts/modal.tsx'
import { Progress } from '../../parts/progress.tsx'
import { MainAction, RunControls } from '../../parts/run-controls.tsx'
import { Spark } from '../../parts/spark.tsx'
import { type TableColumn, VirtualTable } from '../../parts/virtual-table.tsx'
import { linkTo, route, setQuery } from '../../router.ts'
import { sharedFile } from '../../shared-file.ts'
import { RunPage } from '../run/page.tsx'
import { ChoiceBar, ChoiceBox } from './choice.tsx'
import { useFilter } from './filter.ts'
import { FilterBox } from './filter-box.tsx'
import './runs.css'
import { Tags } from './tags.tsx'

const shareOf = ({ step, totalSteps }: RunRow): number | null => (totalSteps ? step / totalSteps : null)

const StepCell = ({ run }: { run: RunRow }) => {
  const { step, totalSteps, secondsLeft } = run
  if (totalSteps === null) return <>{step === 0 ? '' : step}</>
  return (
    <span class="steps">
      <Progress share={step / totalSteps} label={`Progress of ${run.id}`} />
      <span>
        {`${step} / ${totalSteps}`}
        {secondsLeft !== null && <span class="muted"> {formatDuration(secondsLeft * 1000)} left</span>}
      </span>
    </span>
  )
}

const TagList = ({ tags }: RunRow) => <>{tags.join(', ')}</>

/** The columns; those that change something are not in a saved file. */
const columnsWith = (onMore: (id: string) => void): readonly TableColumn<RunRow>[] =>
  allColumns(onMore).filter(({ key }) => sharedFile === undefined || (key !== 'choice' && key !== 'actions'))

const allColumns = (onMore: (id: string) => void): readonly TableColumn<RunRow>[] => [
  { key: 'choice', title: 'Compare', isTitleHidden: true, cell: ({ id }) => <ChoiceBox id={id} /> },
  { key: 'run', title: 'Run', cell: (run) => <a href={linkTo(['runs', run.id])}>{run.id}</a>, sort: ({ id }) => id },
  {
    key: 'state',
    title: 'State',
    cell: ({ state, stopping, message }) => (
      <span class={`state ${state}`} title={message ?? undefined}>
        {stopping ? 'stopping' : state}
      </span>
    ),
    sort: ({ state }) => state,
  },
  { key: 'step', title: 'Progress', cell: (run) => <StepCell run={run} />, sort: shareOf },
  { key: 'spark', title: 'Loss so far', cell: ({ spark }) => <Spark values={spark} /> },
  { key: 'loss', title: 'Loss', number: true, cell: ({ loss }) => formatValue(loss), sort: ({ loss }) => loss },
  {
    key: 'best',
    title: 'Best score',
    number: true,
    cell: ({ best }) =>
      best && (
        <span title={`${best.lower ? 'lower' : 'higher'} is better; step ${best.step}`}>
          {best.metric} {formatValue(best.value)} <span class="muted">{best.lower ? '↓' : '↑'}</span>
        </span>
      ),
    sort: ({ best }) => best?.value ?? null,
  },
  {
    key: 'actions',
    title: 'Actions',
    cell: (run) => (
      <span class="actions">
        <MainAction run={run} />
        <button type="button" aria-haspopup="dialog" aria-label={`More for ${run.id}`} onClick={() => onMore(run.id)}>
          ⋯
        </button>
      </span>
    ),
  },
  { key: 'title', title: 'Trains', cell: ({ title }) => title, sort: ({ title }) => title },
  {
    key: 'tokens',
    title: 'Tokens',
    number: true,
    cell: ({ tokens }) => formatCount(tokens),
    sort: ({ tokens }) => tokens,
  },
  {
    key: 'speed',
    title: 'Tokens/s',
    number: true,
    cell: ({ tokensPerSecond }) => (tokensPerSecond === null ? '' : formatCount(tokensPerSecond)),
    sort: ({ tokensPerSecond }) => tokensPerSecond,
  },
  {
    key: 'time',
    title: 'Time',
    number: true,
    cell: ({ seconds }) => formatDuration(seconds * 1000),
    sort: ({ seconds }) => seconds,
  },
  {
    key: 'cost',
    title: 'Cost',
    number: true,
    cell: ({ cost }) => formatCost(cost),
    sort: ({ cost }) => cost?.amount ?? null,
  },
  {
    key: 'tags',
    title: 'Tags',
    cell: (run) => (sharedFile === undefined ? <Tags run={run} /> : <TagList {...run} />),
    sort: ({ tags }) => tags.join(' ') || null,
  },
  { key: 'updated', title: 'Last event', cell: ({ updated }) => formatTime(updated), sort: ({ updated }) => updated },
]

/** What the head says about the number of runs. */
const countText = (shown: number): string => {
  const read = runRows.value.length
  if (!runsLoaded.value) return read === 0 ? 'Loading …' : `${read} of ${runTotal.value} runs read`
  return shown === read ? `${read} runs` : `${shown} of ${read} runs`
}

const MoreDialog = ({ id, onClose }: { id: string; onClose(): void }) => {
  const run = runRow(id)
  if (run === undefined) return null
  return (
    <Modal title={id} onClose={onClose}>
      <p>
        <span class={`state ${run.state}`}>{run.state}</span> {run.title}
      </p>
      {run.message !== null && <p class="run-message">{run.message}</p>}
      <p class="muted">
        {run.folder}
        {run.checkpoint !== null && ` · newest checkpoint: step ${run.checkpoint}`}
      </p>
      <RunControls run={run} />
    </Modal>
  )
}

const RunsTable = () => {
  const { query } = route.value
  const filter = query.get('filter') ?? ''
  const sort = query.get('sort')
  const more = useSignal<string | undefined>(undefined)
  const { rows, error, busy } = useFilter(filter)
  const columns = columnsWith((id) => {
    more.value = id
  })
  return (
    <>
      <div class="head">
        <h1>Runs</h1>
        <span class="muted" role="status">
          {countText(rows.length)}
        </span>
        {sharedFile === undefined && (
          <a class="button primary end" href={linkTo(['new'])}>
            New run
          </a>
        )}
      </div>
      <FilterBox
        value={filter}
        error={error}
        busy={busy}
        onChange={(text) => setQuery({ filter: text === '' ? undefined : text })}
      />
      <ChoiceBar rows={rows} />
      <VirtualTable
        label="Runs"
        columns={columns}
        rows={rows}
        rowKey={({ id }) => id}
        rowHeight={40}
        order={sort === null ? undefined : { key: sort, down: query.has('down') }}
        onOrder={({ key, down }) => setQuery({ sort: key, down: down ? '1' : undefined })}
      />
      {runsLoaded.value && rows.length === 0 && error === undefined && !busy && (
        <p class="muted">
          {filter === '' ? 'There are no runs yet: start one with “New run”.' : 'No run fulfils the filter.'}
        </p>
      )}
      {more.value !== undefined && (
        <MoreDialog
          id={more.value}
          onClose={() => {
            more.value = undefined
          }}
        />
      )}
    </>
  )
}

/** The table, or the run that the address names. */
export default () => {
  const [, id] = route.value.parts
  return id === undefined ? <RunsTable /> : <RunPage key={id} id={id} />
}
