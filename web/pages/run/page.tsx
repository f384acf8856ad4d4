// One run: its state, its curves, the rows of its batches, its samples, its settings and its files.
import type { RunDetails } from '../../../src/serving/studio/api-types.ts'
import { runPath } from '../../api.ts'
import { formatCount, formatDuration, formatTime, formatValue } from '../../format.ts'
import { runRow } from '../../live-runs.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { RunControls } from '../../parts/run-controls.tsx'
import { linkTo, route, setQuery } from '../../router.ts'
import { sharedFile } from '../../shared-file.ts'
import { Batch } from './batch.tsx'
import { Files } from './files.tsx'
import { useVersion } from './live-run.ts'
import { MarkList, marksOf } from './marks.tsx'
import './run.css'
import { RunCurves } from './run-curves.tsx'
import { Samples } from './samples.tsx'
import { Settings } from './settings.tsx'

const tabs = { curves: 'Curves', marks: 'Incidents', samples: 'Samples', settings: 'Settings', files: 'Files' } as const
type Tab = keyof typeof tabs

const tabOf = (value: string | null): Tab => (Object.keys(tabs) as Tab[]).find((name) => name === value) ?? 'curves'

const Tabs = ({ current }: { current: Tab }) => (
  <div class="tabs" role="tablist" aria-label="Parts of the run">
    {(Object.keys(tabs) as Tab[]).map((name) => (
      <button
        type="button"
        role="tab"
        key={name}
        id={`tab-${name}`}
        aria-selected={name === current}
        aria-controls="run-part"
        onClick={() => setQuery({ tab: name === 'curves' ? undefined : name })}
      >
        {tabs[name]}
      </button>
    ))}
  </div>
)

const Facts = ({ row }: { row: RunDetails['row'] }) => (
  <dl class="facts">
    {(
      [
        ['Step', row.totalSteps === null ? String(row.step) : `${row.step} of ${row.totalSteps}`],
        ['Loss', formatValue(row.loss)],
        ['Best', row.best === null ? '' : `${row.best.metric} ${formatValue(row.best.value)} at ${row.best.step}`],
        ['Tokens', formatCount(row.tokens)],
        ['Time', formatDuration(row.seconds * 1000)],
        ['Left', row.secondsLeft === null ? '' : formatDuration(row.secondsLeft * 1000)],
        ['Cost', row.cost === null ? '' : `${row.cost.amount.toFixed(2)} ${row.cost.currency}`],
        ['Incidents', String(row.incidents)],
      ] as const
    )
      .filter(([, value]) => value !== '')
      .map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
  </dl>
)

const readBatch = (step: number) => setQuery({ tab: undefined, step: String(step) })

export const RunPage = ({ id }: { id: string }) => {
  const first = useJson<RunDetails>(runPath(id))
  const version = useVersion(id, first.value.data?.offset).value
  const newer = useJson<RunDetails>(version === 0 ? undefined : runPath(id), version)
  const details = newer.value.data ?? first.value.data
  const row = runRow(id) ?? details?.row
  const { query } = route.value
  const tab = tabOf(query.get('tab'))
  const step = Number(query.get('step') ?? Number.NaN)
  return (
    <>
      <div class="head">
        <h1>{id}</h1>
        {row && <span class={`state ${row.state}`}>{row.state}</span>}
        <span class="muted">{row?.title}</span>
        {sharedFile === undefined ? (
          <>
            <a href={linkTo(['runs'])}>All runs</a>
            {row && <RunControls run={row} />}
            <a href={runPath(id, '/share')} download>
              Download as one HTML file
            </a>
          </>
        ) : (
          <span class="muted">saved {formatTime(sharedFile.made)}</span>
        )}
      </div>
      <Show of={{ data: details, error: newer.value.error ?? first.value.error }}>
        {(found) => (
          <>
            <Facts row={row ?? found.row} />
            {found.row.message !== null && <p class="error">{found.row.message}</p>}
            <Tabs current={tab} />
            <div id="run-part" class="part" role="tabpanel" aria-labelledby={`tab-${tab}`}>
              {tab === 'curves' && Number.isInteger(step) && sharedFile === undefined && (
                <Batch key={step} id={id} step={step} lastStep={found.row.step} onStep={readBatch} />
              )}
              {tab === 'curves' && <RunCurves id={id} details={found} version={version} onStep={readBatch} />}
              {tab === 'marks' && <MarkList marks={marksOf(found)} onStep={readBatch} />}
              {tab === 'samples' && <Samples id={id} version={version} />}
              {tab === 'settings' && <Settings id={id} recipe={found.recipe} />}
              {tab === 'files' && <Files id={id} details={found} version={version} />}
            </div>
          </>
        )}
      </Show>
    </>
  )
}
