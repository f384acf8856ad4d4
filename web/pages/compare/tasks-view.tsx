// Specialists against tasks: a score where a specialist was evaluated on a task.
import type { ComparedRunRow, RunComparisonAnswer } from '../../../src/serving/studio/types/compare-types.ts'
import { formatInterval } from '../../format.ts'
import { Marker } from '../../parts/scatter.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import { linkTo, route, setQuery } from '../../router.ts'
import { families, methodOf } from './families.ts'
import { MatrixView } from './matrix-view.tsx'
import { groupsOf } from './scores-view.tsx'
import { shortName } from './selection.ts'

interface Row {
  key: string
  title: string
  runs: ComparedRunRow[]
}

const lastPart = (path: string): string => path.split('/').filter(Boolean).slice(-2).join('/')

/** One row for each run, which may have learned several tasks, or one for each method on a base, which has the specialists of several. */
const rowsOf = (runs: readonly ComparedRunRow[], byMethod: boolean): Row[] => {
  const ids = runs.map(({ id }) => id)
  const rows = new Map<string, Row>()
  for (const run of runs) {
    const title = byMethod ? `${methodOf(run)} on ${lastPart(run.base)}` : shortName(run.id, ids)
    const key = byMethod ? JSON.stringify([run.base, run.variant, run.randomInit]) : run.id
    const row = rows.get(key) ?? { key, title, runs: [] }
    row.runs.push(run)
    rows.set(key, row)
  }
  return [...rows.values()]
}

const Cell = ({ runs, best }: { runs: readonly ComparedRunRow[]; best: string }) => {
  const [first, ...others] = runs
  if (first === undefined)
    return (
      <td class="number muted" title="not evaluated on this task">
        –
      </td>
    )
  return (
    <td class="number">
      <a href={linkTo(['runs', first.id])}>{formatInterval(first)}</a>
      {first.id === best && <div class="badge">best</div>}
      {others.length > 0 && <div class="muted">best of {runs.length} runs</div>}
    </td>
  )
}

const OwnTasks = ({ answer }: { answer: RunComparisonAnswer }) => {
  const byMethod = route.value.query.get('rows') === 'methods'
  const columns = groupsOf(answer.runs)
  return (
    <section class="panel">
      <div class="row controls">
        <label>
          Rows{' '}
          <select
            value={byMethod ? 'methods' : 'runs'}
            onChange={(event) => setQuery({ rows: event.currentTarget.value === 'methods' ? 'methods' : undefined })}
          >
            <option value="runs">Specialists</option>
            <option value="methods">Methods, the best specialist of each</option>
          </select>
        </label>
      </div>
      <Scroll label="Scores by specialist and task">
        <table>
          <thead>
            <tr>
              <th scope="col">{byMethod ? 'Method' : 'Specialist'}</th>
              {columns.map(([{ group, task, data, metric }]) => (
                <th key={group} scope="col" class="number">
                  {task}
                  <div class="muted">
                    {data}, {metric}
                  </div>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rowsOf(answer.runs, byMethod).map(({ key, title, runs }) => (
              <tr key={key}>
                <th scope="row">
                  <Marker {...families[runs[0].family]} hollow={runs[0].randomInit} /> {title}
                </th>
                {columns.map((column) => (
                  <Cell
                    key={column[0].group}
                    runs={runs.filter(({ group }) => group === column[0].group)}
                    best={column[0].id}
                  />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </section>
  )
}

export const TasksView = ({ answer }: { answer: RunComparisonAnswer }) => (
  <>
    <OwnTasks answer={answer} />
    <MatrixView ids={[...new Set(answer.runs.map(({ id }) => id))]} />
  </>
)
