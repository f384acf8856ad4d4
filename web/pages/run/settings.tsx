// The settings of a run: its recipe, and how it differs from that of another run.
import type { RunDetails } from '../../../src/serving/studio/types/api-types.ts'
import { runPath } from '../../api.ts'
import { runRows } from '../../live-runs.ts'
import { JsonText } from '../../parts/json-text.tsx'
import { Show, useJson } from '../../parts/loading.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import { changesBetween, type SettingChange } from '../../parts/settings-changes.ts'
import { route, setQuery } from '../../router.ts'

const shown = (value: unknown): string =>
  value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value)

const Changes = ({ changes, names }: { changes: readonly SettingChange[]; names: [string, string] }) => (
  <Scroll label="Settings that differ">
    <p class="muted">
      {changes.length === 0 ? 'Both runs have the same settings.' : `${changes.length} settings differ.`}
    </p>
    {changes.length > 0 && (
      <table class="changes">
        <thead>
          <tr>
            <th>Setting</th>
            <th>{names[0]}</th>
            <th>{names[1]}</th>
            <th>Change</th>
          </tr>
        </thead>
        <tbody>
          {changes.map(({ path, before, after, kind }) => (
            <tr key={path}>
              <td class="mono">{path}</td>
              <td class="mono">{shown(before)}</td>
              <td class="mono">{shown(after)}</td>
              <td>{kind}</td>
            </tr>
          ))}
        </tbody>
      </table>
    )}
  </Scroll>
)

const Difference = ({ id, other, recipe }: { id: string; other: string; recipe: Record<string, unknown> }) => {
  const details = useJson<RunDetails>(runPath(other))
  return (
    <Show of={details.value}>
      {(found) =>
        found.recipe === null ? (
          <p class="muted">{other} has no recipe.</p>
        ) : (
          <Changes changes={changesBetween(found.recipe, recipe)} names={[other, id]} />
        )
      }
    </Show>
  )
}

export const Settings = ({ id, recipe }: { id: string; recipe: Record<string, unknown> | null }) => {
  if (recipe === null) return <p class="muted">This run has no recipe (run.json).</p>
  const other = route.value.query.get('other') ?? ''
  const others = runRows.value.filter((row) => row.id !== id)
  return (
    <>
      {others.length > 0 && (
        <section class="panel" aria-label="Difference to another run">
          <h2>Difference to another run</h2>
          <label>
            Run{' '}
            <select
              value={other}
              onChange={({ currentTarget: { value } }) => setQuery({ other: value === '' ? undefined : value })}
            >
              <option value="">none</option>
              {others.map((row) => (
                <option key={row.id} value={row.id}>
                  {row.id}
                </option>
              ))}
            </select>
          </label>
          {other !== '' && <Difference id={id} other={other} recipe={recipe} />}
        </section>
      )}
      <section class="panel" aria-label="Recipe">
        <h2>Recipe</h2>
        <JsonText label="Recipe as JSON" value={recipe} />
      </section>
    </>
  )
}
