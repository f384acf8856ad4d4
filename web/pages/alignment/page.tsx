// Runs of alignment: what the policy wrote and earned, or how its preferences stand.
import type { AlignmentFacts } from '../../../src/serving/studio/types/alignment-types.ts'
import { runPath } from '../../api.ts'
import { runRow, runRows, runsLoaded } from '../../live-runs.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { goTo, linkTo, route } from '../../router.ts'
import '../compare/compare.css'
import './alignment.css'
import { PreferencesView } from './preferences-view.tsx'
import { RolloutsView } from './rollouts-view.tsx'

const AlignmentRun = ({ id }: { id: string }) => {
  const row = runRow(id)
  // A run that goes on has more rollouts now and then; the streamed row says when. Once more when it ends: the step stays, the final scores
  // are new.
  const version = row?.step ?? 0
  const facts = useJson<AlignmentFacts>(runPath(id, '/alignment'), row?.state === 'running' ? version : version + 0.5)
  return (
    <Show of={facts.value}>
      {(data) => (
        <>
          <div class="row muted">
            {row && <span class={`state ${row.state}`}>{row.state}</span>}
            <span>{data.objective}</span>
            <span>step {row?.step}</span>
            <a href={linkTo(['runs', id])}>The run with its curves</a>
          </div>
          {data.kind === 'rollouts' ? (
            <RolloutsView id={id} facts={data} version={version} />
          ) : (
            <PreferencesView id={id} facts={data} />
          )}
        </>
      )}
    </Show>
  )
}

export default () => {
  const rows = runRows.value.filter(({ command }) => command === 'align')
  const id = route.value.parts[1] ?? rows[0]?.id
  return (
    <>
      <div class="head">
        <h1>Alignment</h1>
        {id !== undefined && (
          <label>
            Run{' '}
            <select value={id} onChange={(event) => goTo(['alignment', event.currentTarget.value])}>
              {!rows.some((row) => row.id === id) && <option value={id}>{id}</option>}
              {rows.map((row) => (
                <option key={row.id} value={row.id}>
                  {row.id}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      {id === undefined ? (
        <p class="muted">
          {runsLoaded.value ? 'There is no run of alignment here yet: `tunesmith align`.' : 'Loading …'}
        </p>
      ) : (
        <AlignmentRun key={id} id={id} />
      )}
    </>
  )
}
