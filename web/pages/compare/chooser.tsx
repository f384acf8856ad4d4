// Chooses the runs of a comparison: a search, a list with checkboxes, and what is chosen.
import { useSignal } from '@preact/signals'
import { maxCompared } from '../../../src/serving/studio/compare-paths.ts'
import type { RunRow } from '../../../src/serving/studio/types/api-types.ts'
import { formatValue } from '../../format.ts'
import { runRows, runsLoaded, withWords } from '../../live-runs.ts'
import { CurveSample } from '../../parts/curve-sample.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import { linkTo } from '../../router.ts'
import { sharedFile } from '../../shared-file.ts'
import { chosenIds, dashes, maxCurves, setChosen, shortName, toggleChosen } from './selection.ts'

/** Rows of the list; the search finds the others. */
const maxListed = 100

const Listed = ({ row, chosen, full }: { row: RunRow; chosen: boolean; full: boolean }) => (
  <label class="choice">
    <input type="checkbox" checked={chosen} disabled={full && !chosen} onChange={() => toggleChosen(row.id)} />
    <span class="choice-name">{row.id}</span>
    <span class="muted">{row.title}</span>
    <span class="muted">{row.best && `${row.best.metric} ${formatValue(row.best.value)}`}</span>
    <span class={`state ${row.state}`}>{row.state}</span>
  </label>
)

export const Chooser = () => {
  const search = useSignal('')
  const ids = chosenIds()
  const found = withWords(runRows.value, search.value)
  const addable = found.filter(({ id }) => !ids.includes(id)).slice(0, maxCompared - ids.length)
  return (
    <details class="panel chooser" open={ids.length < 2}>
      <summary>Choose runs</summary>
      <div class="row">
        <label class="grow">
          <span class="visually-hidden">Search runs</span>
          <input
            type="search"
            placeholder="Name, base, task, method, tag …"
            value={search.value}
            onInput={(event) => {
              search.value = event.currentTarget.value
            }}
          />
        </label>
        <button
          type="button"
          disabled={addable.length === 0}
          onClick={() => setChosen([...ids, ...addable.map(({ id }) => id)])}
        >
          Choose {addable.length === found.length ? 'all' : 'these'} {addable.length}
        </button>
        <button type="button" disabled={ids.length === 0} onClick={() => setChosen([])}>
          Clear
        </button>
      </div>
      <Scroll label="Runs to choose" kind="scroll choices">
        {!runsLoaded.value && <p class="muted">Loading …</p>}
        {runsLoaded.value && found.length === 0 && <p class="muted">No run fits.</p>}
        {found.slice(0, maxListed).map((row) => (
          <Listed key={row.id} row={row} chosen={ids.includes(row.id)} full={ids.length >= maxCompared} />
        ))}
      </Scroll>
      {found.length > maxListed && <p class="muted">{found.length - maxListed} more runs: search to see them.</p>}
    </details>
  )
}

/** The chosen runs with their lines. */
export const Chosen = () => {
  const ids = chosenIds()
  if (ids.length === 0) return null
  return (
    <fieldset class="row plain" aria-label="Chosen runs">
      {ids.map((id, i) => (
        <span class="chip" key={id}>
          {i < maxCurves && <CurveSample n={i} dash={dashes[i % dashes.length]} />}
          <a href={linkTo(['runs', id])} title={id}>
            {shortName(id, ids)}
          </a>
          {sharedFile === undefined && (
            <button type="button" aria-label={`Remove ${id}`} onClick={() => toggleChosen(id)}>
              ×
            </button>
          )}
        </span>
      ))}
    </fieldset>
  )
}
