// The base and every specialist on every task of the chosen runs, which runs their models when it is asked for.
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { encodeIds, matrixPath, matrixPathOf } from '../../../src/serving/studio/compare-paths.ts'
import type { MatrixScore, MatrixState, SpecialistMatrix } from '../../../src/serving/studio/types/compare-types.ts'
import { getJson, sendJson } from '../../api.ts'
import { formatInterval } from '../../format.ts'
import { CellGrid, GridCell } from '../../parts/cell-grid.tsx'
import { attempt } from '../../parts/messages.tsx'
import { Progress } from '../../parts/progress.tsx'
import { sharedFile } from '../../shared-file.ts'

const pollMs = 1000
const defaultLimit = '200'

const knownValue = (cell: MatrixScore): number | null => ('missing' in cell ? null : cell.value)

/** Where a score is between the worst, 0, and the best, 1, of its column. */
const shareOf = ({ columns, rows }: SpecialistMatrix, column: number, cell: MatrixScore): number | null => {
  const value = knownValue(cell)
  const known = rows.map(({ cells }) => knownValue(cells[column])).filter((one) => one !== null)
  if (value === null) return null
  const [low, high] = [Math.min(...known), Math.max(...known)]
  if (low === high) return 1
  return columns[column].lowerIsBetter ? (high - value) / (high - low) : (value - low) / (high - low)
}

interface CellProps {
  cell: MatrixScore
  share: number | null
  /** `lora on names`. */
  name: string
  isFirst: boolean
}

const Cell = ({ cell, share, name, isFirst }: CellProps) =>
  'missing' in cell ? (
    <GridCell kind="number muted" hint={`${name}: ${cell.missing}`} isFirst={isFirst}>
      –
    </GridCell>
  ) : (
    <GridCell
      hint={`${name}: ${formatInterval(cell)}`}
      isFirst={isFirst}
      background={`color-mix(in srgb, var(--curve-1) ${Math.round(45 * (share ?? 0))}%, transparent)`}
    >
      {formatInterval(cell)}
      {share === 1 && (
        <div class="badge" style={{ background: 'var(--panel)' }}>
          best
        </div>
      )}
    </GridCell>
  )

const Matrix = ({ matrix }: { matrix: SpecialistMatrix }) => {
  const { columns, rows, limit } = matrix
  const reasons = new Set(
    rows.flatMap(({ name, cells }) =>
      cells.flatMap((cell, i) => ('missing' in cell ? [`${name} on ${columns[i].name}: ${cell.missing}`] : [])),
    ),
  )
  return (
    <>
      <CellGrid label="Every model on every task">
        <thead>
          <tr>
            <th scope="col">Model</th>
            {columns.map(({ name, task, metric, records }) => (
              <th key={name} scope="col" class="number">
                {name}
                <div class="muted">
                  {task}, {metric}, {records} records
                </div>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, at) => (
            <tr key={`${row.kind} ${row.name}`}>
              <th scope="row">
                {row.name} {row.kind === 'base' && <span class="muted">base</span>}
              </th>
              {row.cells.map((cell, i) => (
                <Cell
                  key={columns[i].name}
                  cell={cell}
                  share={shareOf(matrix, i, cell)}
                  name={`${row.name} on ${columns[i].name}`}
                  isFirst={at === 0 && i === 0}
                />
              ))}
            </tr>
          ))}
        </tbody>
      </CellGrid>
      <p class="muted">
        Scores with 95 % confidence intervals on at most {limit} records of a task; the shade compares the models of a
        column.
      </p>
      {reasons.size > 0 && (
        <details>
          <summary>{reasons.size} cells have no score</summary>
          <ul>
            {[...reasons].map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </details>
      )}
    </>
  )
}

/** The state of the matrix, again and again while it is computed. */
const useMatrix = (ids: readonly string[]) => {
  const state = useSignal<MatrixState | undefined>(undefined)
  const path = matrixPathOf(ids)
  const isRunning = state.value?.state === 'running'
  useEffect(() => {
    const controller = new AbortController()
    const load = () =>
      getJson<MatrixState>(path, controller.signal).then(
        (found) => {
          state.value = found
        },
        // The page says that it reconnects; the next time may succeed.
        () => undefined,
      )
    void load()
    const timer = isRunning ? setInterval(load, pollMs) : undefined
    return () => {
      controller.abort()
      clearInterval(timer)
    }
  }, [path, isRunning])
  return state
}

const Running = ({ state: { progress }, onStop }: { state: MatrixState; onStop(): void }) => (
  <div class="row">
    <Progress share={progress?.of ? progress.done / progress.of : 0} label="Progress on the current task" />
    <span class="muted" role="status">
      {progress === null
        ? 'Loading the models …'
        : `${progress.label}: ${progress.done}${progress.of === null ? '' : ` of ${progress.of}`} ${progress.unit}`}
    </span>
    <button type="button" onClick={onStop}>
      Stop
    </button>
  </div>
)

export const MatrixView = ({ ids }: { ids: readonly string[] }) => {
  const runs = encodeIds(ids)
  const state = useMatrix(ids)
  const limit = useSignal(defaultLimit)
  const send = (method: 'POST' | 'DELETE', body: object) =>
    attempt(async () => {
      state.value = await sendJson<MatrixState>(method, matrixPath, { runs, ...body })
    })
  const known = state.value
  if (known === undefined) return null
  return (
    <section class="panel" aria-label="Every specialist on every task">
      <h2>Every specialist on every task</h2>
      {known.fault !== null && (
        <p class="error" role="alert">
          {known.fault}
        </p>
      )}
      {known.matrix !== null && <Matrix matrix={known.matrix} />}
      {sharedFile !== undefined ? null : known.state === 'running' ? (
        <Running state={known} onStop={() => void send('DELETE', {})} />
      ) : (
        <form
          class="row controls"
          onSubmit={(event) => {
            event.preventDefault()
            void send('POST', { limit: Number(limit.value) })
          }}
        >
          <label>
            Records of each task{' '}
            <input
              type="number"
              min="1"
              max="100000"
              required
              value={limit.value}
              onInput={({ currentTarget }) => {
                limit.value = currentTarget.value
              }}
            />
          </label>
          <button type="submit">{known.matrix === null ? 'Score all models' : 'Score again'}</button>
          {known.matrix === null && (
            <span class="muted">
              Runs the base and all chosen specialists, as <code>tunesmith compare --matrix</code> does.
            </span>
          )}
        </form>
      )}
    </section>
  )
}
