// Scores against costs: for each task a picture and the same as a table.
import type {
  ComparedRunRow,
  PairedDifference,
  RunComparisonAnswer,
} from '../../../src/serving/studio/types/compare-types.ts'
import { formatBytes, formatCount, formatDuration, formatInterval } from '../../format.ts'
import { runRow } from '../../live-runs.ts'
import { Marker, Scatter, type ScatterMark } from '../../parts/scatter.tsx'
import { Scroll } from '../../parts/scroll.tsx'
import { linkTo, queryChoice, setQuery } from '../../router.ts'
import { families, methodOf } from './families.ts'
import { PriceField, typedPrice } from './price-field.tsx'
import { shortName } from './selection.ts'

interface Cost {
  title: string
  /** Head of its column in the table. */
  column: string
  of(run: ComparedRunRow): number | null
  show(value: number): string
}

/** Money of the whole wall time, by the price of the recipe or, without one, by the price that was typed. */
const moneyOf = ({ id, seconds, cost }: ComparedRunRow): number | null => {
  if (cost !== null) return cost.amount
  const row = runRow(id)
  if (row?.cost) return row.cost.amount
  const price = typedPrice()
  return price === undefined ? null : (price * seconds) / 3600
}

const costs: Record<string, Cost> = {
  time: {
    title: 'Time in seconds',
    column: 'Time',
    of: ({ seconds }) => seconds,
    show: (seconds) => formatDuration(seconds * 1000),
  },
  energy: {
    title: 'Energy of the processor in joules',
    column: 'Energy',
    of: ({ energyJoules }) => energyJoules,
    show: (joules) => `${formatCount(Math.round(joules))} J`,
  },
  money: { title: 'Money', column: 'Money', of: moneyOf, show: (amount) => String(Number(amount.toPrecision(3))) },
  parameters: {
    title: 'Trained parameters',
    column: 'Trained parameters',
    of: ({ trainedParameters }) => trainedParameters,
    show: (count) => formatCount(count),
  },
  disk: { title: 'Bytes on disk', column: 'On disk', of: ({ fileBytes }) => fileBytes, show: formatBytes },
}

const Legend = ({ runs }: { runs: readonly ComparedRunRow[] }) => (
  <div class="row legend-row">
    {Object.entries(families)
      .filter(([family]) => runs.some((run) => run.family === family))
      .map(([family, { title, shape, color }]) => (
        <span key={family}>
          <Marker shape={shape} color={color} /> {title}
        </span>
      ))}
    {runs.some(({ randomInit }) => randomInit) && (
      <span>
        <Marker shape="circle" color="var(--muted)" hollow /> from random
      </span>
    )}
  </div>
)

const markOf = (run: ComparedRunRow, { of, show }: Cost, ids: readonly string[]): ScatterMark[] => {
  const x = of(run)
  if (x === null || run.value === null) return []
  const { shape, color, title } = families[run.family]
  return [
    {
      key: run.id,
      name: shortName(run.id, ids),
      title: `${run.id}: ${run.metric} ${formatInterval(run)}, ${show(x)} (${run.randomInit ? `${title}, from random` : title})`,
      ...{ x, y: run.value, low: run.low, high: run.high, shape, color, hollow: run.randomInit },
      href: linkTo(['runs', run.id]),
    },
  ]
}

const formatDifference = (difference: PairedDifference | null): string => {
  if (difference === null || difference.value === null) return ''
  const sign = difference.value >= 0 ? '+' : ''
  const chance = difference.probability === null ? '' : `, p ${difference.probability.toFixed(3)}`
  return `${sign}${formatInterval(difference)}${chance}`
}

const ScoreTable = ({ runs, ids }: { runs: readonly ComparedRunRow[]; ids: readonly string[] }) => {
  const shownCosts = Object.entries(costs).filter(([, { of }]) => runs.some((run) => of(run) !== null))
  const hasTwin = runs.some(({ pretraining }) => pretraining !== null)
  return (
    <Scroll label={`Scores of ${runs[0].task} as a table`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Run</th>
            <th scope="col">Method</th>
            <th scope="col" class="number">
              {runs[0].metric}
            </th>
            <th scope="col" class="number">
              Against the best
            </th>
            {hasTwin && (
              <th scope="col" class="number">
                Pretraining brought
              </th>
            )}
            {shownCosts.map(([key, { column }]) => (
              <th key={key} scope="col" class="number">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.id}>
              <td>
                <a href={linkTo(['runs', run.id])}>{shortName(run.id, ids)}</a>
              </td>
              <td>
                <Marker {...families[run.family]} hollow={run.randomInit} /> {methodOf(run)}
              </td>
              <td class="number">{formatInterval(run)}</td>
              <td class="number">{formatDifference(run.difference)}</td>
              {hasTwin && <td class="number">{formatDifference(run.pretraining)}</td>}
              {shownCosts.map(([key, { of, show }]) => {
                const value = of(run)
                return (
                  <td key={key} class="number">
                    {value === null ? '' : show(value)}
                    {key === 'parameters' && run.trainedShare !== null && (
                      <span class="muted"> ({Number((100 * run.trainedShare).toPrecision(3))} %)</span>
                    )}
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  )
}

/** Runs by the records that they were scored on. */
export const groupsOf = (runs: readonly ComparedRunRow[]): ComparedRunRow[][] => [
  ...runs
    .reduce(
      (groups, run) => groups.set(run.group, [...(groups.get(run.group) ?? []), run]),
      new Map<string, ComparedRunRow[]>(),
    )
    .values(),
]

const TaskScores = ({ runs, answer, cost }: { runs: ComparedRunRow[]; answer: RunComparisonAnswer; cost: Cost }) => {
  const ids = answer.runs.map(({ id }) => id)
  const [{ task, data, metric }] = runs
  const points = runs.flatMap((run) => markOf(run, cost, ids))
  const references = answer.references.filter(
    (one) => one.metric === metric && one.runs.includes(runs[0].id) && one.value !== null,
  )
  const label = `${metric} against ${cost.title.toLowerCase()}: ${task} on ${data}`
  return (
    <section class="panel">
      <h2>
        {task} <span class="muted">on {data}</span>
      </h2>
      {points.length === 0 ? (
        <p class="muted">
          {cost.title}: not known of {runs.length === 1 ? 'this run' : 'these runs'}
          {cost === costs.energy && ', whose machine does not count it'}.
        </p>
      ) : (
        <>
          <Legend runs={runs} />
          <Scatter
            label={label}
            across={cost.title}
            up={`${metric} with its 95 % confidence interval; ${runs[0].lowerIsBetter ? 'lower' : 'higher'} is better`}
            axis="log"
            points={points}
            references={references.map(({ name, value }) => ({ name, y: value! }))}
          />
        </>
      )}
      <ScoreTable runs={runs} ids={ids} />
    </section>
  )
}

export const ScoresView = ({ answer }: { answer: RunComparisonAnswer }) => {
  const chosen = queryChoice('cost', Object.keys(costs))
  const cost = costs[chosen]
  return (
    <>
      <div class="row controls">
        <label>
          Cost{' '}
          <select value={chosen} onChange={(event) => setQuery({ cost: event.currentTarget.value })}>
            {Object.entries(costs).map(([key, { title }]) => (
              <option key={key} value={key}>
                {title}
              </option>
            ))}
          </select>
        </label>
        {cost === costs.money && <PriceField title="Price per hour, where a recipe has none" />}
      </div>
      {groupsOf(answer.runs).map((runs) => (
        <TaskScores key={runs[0].group} runs={runs} answer={answer} cost={cost} />
      ))}
    </>
  )
}
