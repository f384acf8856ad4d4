// Confusion matrices and reliability diagrams of the chosen runs.
import type {
  CalibrationBin,
  RunComparisonAnswer,
  RunEvaluation,
} from '../../../src/serving/studio/types/compare-types.ts'
import { runPath } from '../../api.ts'
import { formatInterval } from '../../format.ts'
import { CellGrid, GridCell } from '../../parts/cell-grid.tsx'
import { Show, useJson } from '../../parts/loading.tsx'
import { shortName } from './selection.ts'

/** Runs whose matrices are shown at a time. */
const maxRuns = 8

const Confusion = ({ confusion, name }: { confusion: NonNullable<RunEvaluation['confusion']>; name: string }) => {
  const { labels, cells, omitted } = confusion
  const sums = cells.map((row) => row.reduce((sum, count) => sum + count, 0))
  return (
    <>
      <h3>Confusion matrix</h3>
      <p class="muted">
        Rows are references, columns predictions; the shade is the share of the row.
        {omitted > 0 && ` The ${omitted} classes with the fewest records are left out.`}
      </p>
      <CellGrid label={`Confusion matrix of ${name}`} kind="confusion">
        <thead>
          <tr>
            <th scope="col">
              <span class="visually-hidden">Reference</span>
            </th>
            {labels.map((label) => (
              <th key={label} scope="col" class="number">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {labels.map((label, i) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              {cells[i].map((count, j) => {
                const share = sums[i] === 0 ? 0 : count / sums[i]
                const color = i === j ? 'var(--curve-1)' : 'var(--curve-2)'
                return (
                  <GridCell
                    key={labels[j]}
                    hint={`${label} as ${labels[j]}: ${count} of ${sums[i]}`}
                    isFirst={i === 0 && j === 0}
                    background={`color-mix(in srgb, ${color} ${Math.round(45 * share)}%, transparent)`}
                  >
                    {count}
                  </GridCell>
                )
              })}
            </tr>
          ))}
        </tbody>
      </CellGrid>
    </>
  )
}

const frame = { width: 320, height: 250, left: 40, right: 10, top: 10, bottom: 38 }

const Reliability = ({ bins, name }: { bins: readonly CalibrationBin[]; name: string }) => {
  const xAt = (share: number) => frame.left + share * (frame.width - frame.left - frame.right)
  const yAt = (share: number) => frame.height - frame.bottom - share * (frame.height - frame.top - frame.bottom)
  return (
    <figure class="scatter" aria-label={`Reliability diagram of ${name}`}>
      <svg width="100%" viewBox={`0 0 ${frame.width} ${frame.height}`} class="reliability">
        <title>{`Reliability diagram of ${name}`}</title>
        {[0, 0.5, 1].map((tick) => (
          <g key={tick}>
            <path class="grid" d={`M${xAt(0)} ${yAt(tick)}H${xAt(1)}`} />
            <text x={xAt(0) - 6} y={yAt(tick) + 4} text-anchor="end">
              {tick}
            </text>
            <text x={xAt(tick)} y={yAt(0) + 16} text-anchor="middle">
              {tick}
            </text>
          </g>
        ))}
        {bins.map(({ from, to, units, confidence, accuracy }) => (
          <g key={from}>
            <title>{`confidence ${confidence.toFixed(3)}, accuracy ${accuracy.toFixed(3)}, ${units} records`}</title>
            <rect
              x={xAt(from) + 1}
              y={yAt(accuracy)}
              width={Math.max(0, xAt(to) - xAt(from) - 2)}
              height={yAt(0) - yAt(accuracy)}
              fill="var(--curve-1)"
            />
            <path
              d={`M${xAt(from) + 1} ${yAt(confidence)}H${xAt(to) - 1}`}
              stroke="var(--curve-2)"
              stroke-width="2.5"
              fill="none"
            />
          </g>
        ))}
        <path class="reference" d={`M${xAt(0)} ${yAt(0)}L${xAt(1)} ${yAt(1)}`} />
        <text x={(xAt(0) + xAt(1)) / 2} y={frame.height - 6} text-anchor="middle">
          confidence
        </text>
      </svg>
      <figcaption class="muted">
        Bars: accuracy. Lines: mean confidence of the bin. On the diagonal both agree.
      </figcaption>
    </figure>
  )
}

const RunClasses = ({ id, name }: { id: string; name: string }) => {
  const evaluation = useJson<RunEvaluation>(runPath(id, '/evaluation'))
  return (
    <section class="panel">
      <h2>{name}</h2>
      <Show of={evaluation.value}>
        {({ confusion, calibration, metrics, mainMetric, records }) => (
          <>
            <p>
              {mainMetric} {formatInterval(metrics[mainMetric])}
              {records !== null && <span class="muted"> on {records} records</span>}
            </p>
            {confusion === null ? (
              <p class="muted">No confusion matrix: the task has no classes.</p>
            ) : (
              <Confusion confusion={confusion} name={name} />
            )}
            <h3>Calibration</h3>
            {calibration === null ? (
              <p class="muted">No calibration: its predictions have no probabilities of classes.</p>
            ) : (
              <>
                {metrics.calibrationError && (
                  <p>Expected calibration error {formatInterval(metrics.calibrationError)}</p>
                )}
                <Reliability bins={calibration} name={name} />
              </>
            )}
          </>
        )}
      </Show>
    </section>
  )
}

export const ClassesView = ({ answer }: { answer: RunComparisonAnswer }) => {
  const ids = answer.runs.map(({ id }) => id)
  return (
    <>
      {ids.length > maxRuns && (
        <p class="muted">
          The first {maxRuns} of {ids.length} runs.
        </p>
      )}
      <div class="grid">
        {ids.slice(0, maxRuns).map((id) => (
          <RunClasses key={id} id={id} name={shortName(id, ids)} />
        ))}
      </div>
    </>
  )
}
