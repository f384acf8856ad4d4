// Runs of the table that are chosen for a comparison. The address has them.

import { encodeIds, maxCompared } from '../../../src/serving/studio/compare-paths.ts'
import type { RunRow } from '../../../src/serving/studio/types/api-types.ts'
import { linkTo } from '../../router.ts'
import { chosenIds, setChosen, toggleChosen } from '../compare/selection.ts'

/** The box of a row. */
export const ChoiceBox = ({ id }: { id: string }) => {
  const ids = chosenIds()
  const isChosen = ids.includes(id)
  return (
    <input
      type="checkbox"
      aria-label={`Compare ${id}`}
      checked={isChosen}
      disabled={!isChosen && ids.length >= maxCompared}
      onChange={() => toggleChosen(id)}
    />
  )
}

/** What can be done with the chosen runs; nothing without any. */
export const ChoiceBar = ({ rows }: { rows: readonly RunRow[] }) => {
  const ids = chosenIds()
  if (ids.length === 0) return null
  const more = rows.filter(({ id }) => !ids.includes(id)).slice(0, maxCompared - ids.length)
  return (
    <fieldset class="row choice-bar" aria-label="Chosen runs">
      <span role="status">
        {ids.length} {ids.length === 1 ? 'run' : 'runs'} chosen
        {ids.length >= maxCompared && ', as many as can be compared'}
      </span>
      <a class="button primary" href={linkTo(['compare'], { runs: encodeIds(ids) })}>
        Compare
      </a>
      {more.length > 0 && (
        <button type="button" onClick={() => setChosen([...ids, ...more.map(({ id }) => id)])}>
          Choose {more.length} more shown
        </button>
      )}
      <button type="button" onClick={() => setChosen([])}>
        Clear
      </button>
    </fieldset>
  )
}
