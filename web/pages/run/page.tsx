// One run: its state, its curves, the rows of its batches, its samples, its settings and its files.
import type { RunDetails } from '../../../src/serving/studio/types/api-types.ts'
import { runPath } from '../../api.ts'
import { formatCost, formatCount, formatDuration, formatTime, formatValue } from '../../format.ts'
import { runRow } from '../../live-runs.ts'
import { type Fact, Facts } from '../../parts/facts.tsx'
import { Show, useJson } from '../../parts/loading.tsx'
import { RunControls } from '../../parts/run-controls.tsx'
import { type Tab, Tabs } from '../../parts/tabs.tsx'
import { linkTo, queryChoice, queryWhole, setQuery } from '../../router.ts'
import { sharedFile } from '../../shared-file.ts'
import { Batch } from './batch.tsx'
import { Files } from './files.tsx'
import { useLiveRun } from './live-run.ts'
import { MarkList, marksOf } from './marks.tsx'
import './run.css'
import { RunCurves } from './run-curves.tsx'
import { Samples } from './samples.tsx'
import { Settings } from './settings.tsx'

const tabs: readonly Tab[] = [
  { key: 'curves', title: 'Curves' },
  { key: 'marks', title: 'Incidents' },
  { key: 'samples', title: 'Samples' },
  { key: 'settings', title: 'Settings' },
  { key: 'files', title: 'Files' },
]

const factsOf = (row: RunDetails['row']): Fact[] => {
  const facts: Fact[] = [
    ['Step', row.totalSteps === null ? String(row.step) : `${row.step} of ${row.totalSteps}`],
    ['Loss', formatValue(row.loss)],
    ['Best', row.best === null ? '' : `${row.best.metric} ${formatValue(row.best.value)} at ${row.best.step}`],
    ['Tokens', formatCount(row.tokens)],
    ['Time', formatDuration(row.seconds * 1000)],
    ['Left', row.secondsLeft === null ? '' : formatDuration(row.secondsLeft * 1000)],
    ['Cost', formatCost(row.cost)],
    ['Incidents', String(row.incidents)],
  ]
  return facts.filter(([, value]) => value !== '')
}

const readBatch = (step: number) => setQuery({ tab: undefined, step: String(step) })

export const RunPage = ({ id }: { id: string }) => {
  const first = useJson<RunDetails>(runPath(id))
  const live = useLiveRun(id, first.value.data?.offset)
  const version = live.version.value
  const isRemoved = live.removed.value
  const newer = useJson<RunDetails>(version === 0 ? undefined : runPath(id), version)
  const details = newer.value.data ?? first.value.data
  const row = runRow(id) ?? details?.row
  const tab = queryChoice(
    'tab',
    tabs.map(({ key }) => key),
  )
  const step = queryWhole('step')
  return (
    <>
      <div class="head">
        <h1>
          {(sharedFile?.pages.length ?? 2) > 1 && (
            <span class="path-up">
              <a href={linkTo(['runs'])} aria-label="All runs">
                Runs
              </a>{' '}
              /{' '}
            </span>
          )}
          {id}
        </h1>
        {row && <span class={`state ${row.state}`}>{row.state}</span>}
        <span class="muted">{row?.title}</span>
        <span class="row end">
          {isRemoved ? null : sharedFile === undefined ? (
            <>
              <a class="button" href={runPath(id, '/share')} download>
                Download as one HTML file
              </a>
              {row && <RunControls run={row} />}
            </>
          ) : (
            <span class="muted">saved {formatTime(sharedFile.made)}</span>
          )}
        </span>
      </div>
      {isRemoved && (
        <p class="error" role="alert">
          The folder of this run was deleted. What this page has read of it stays until you leave.
        </p>
      )}
      <Show of={{ data: details, error: newer.value.error ?? first.value.error }}>
        {(found) => (
          <>
            <Facts facts={factsOf(row ?? found.row)} />
            {found.row.message !== null && <p class="error">{found.row.message}</p>}
            <Tabs
              label="Parts of the run"
              tabs={tabs}
              open={tab}
              onOpen={(key) => setQuery({ tab: key === tabs[0].key ? undefined : key })}
            >
              {tab === 'curves' && step !== undefined && sharedFile === undefined && (
                <Batch key={step} id={id} step={step} lastStep={found.row.step} onStep={readBatch} />
              )}
              {tab === 'curves' && <RunCurves id={id} details={found} version={version} onStep={readBatch} />}
              {tab === 'marks' && <MarkList marks={marksOf(found)} onStep={readBatch} />}
              {tab === 'samples' && <Samples id={id} version={version} />}
              {tab === 'settings' && <Settings id={id} recipe={found.recipe} />}
              {tab === 'files' && <Files id={id} details={found} version={version} />}
            </Tabs>
          </>
        )}
      </Show>
    </>
  )
}
