// One sweep: what is best, the score of each trial against a setting, and all trials as a table.
import { encodeIds } from '../../../src/serving/studio/compare-paths.ts'
import type { SweepDetails, SweepTrialRow } from '../../../src/serving/studio/types/api-types.ts'
import { formatDuration, formatInterval, formatValue } from '../../format.ts'
import { runRow } from '../../live-runs.ts'
import { type Fact, Facts } from '../../parts/facts.tsx'
import { Show } from '../../parts/loading.tsx'
import { Progress } from '../../parts/progress.tsx'
import { Marker, Scatter, type ScatterMark } from '../../parts/scatter.tsx'
import { type TableColumn, VirtualTable } from '../../parts/virtual-table.tsx'
import { linkTo, queryChoice, setQuery } from '../../router.ts'
import { usePolled } from './polled.ts'
import { nameOf, stateClass, statusText } from './words.ts'

/** Runs that a comparison of the best trials has. */
const maxCompared = 8

const trialAxis = 'trial'

/** Trials by their score, the best first; those without one after them. */
const ranked = ({ trials, lowerIsBetter }: SweepDetails): SweepTrialRow[] => {
  const sign = lowerIsBetter ? 1 : -1
  const worth = ({ value }: SweepTrialRow) => (value === null ? Number.MAX_VALUE : sign * value)
  const depth = ({ status }: SweepTrialRow) => (status === 'finished' ? 0 : 1)
  return [...trials].sort((a, b) => depth(a) - depth(b) || worth(a) - worth(b) || a.number - b.number)
}

const factsOf = ({ row, trials, best, clear }: SweepDetails): Fact[] => {
  const count = (status: SweepTrialRow['status']) => trials.filter((trial) => trial.status === status).length
  const named = (name: string, status: SweepTrialRow['status']): Fact[] =>
    count(status) === 0 ? [] : [[name, String(count(status))]]
  return [
    ['Trials', `${row.over} of ${row.planned}`],
    ...named('Pruned', 'stopped'),
    ...named('Failed', 'failed'),
    ['Method', row.method],
    ...(row.best === null ? [] : ([[`Best ${row.metric}`, formatInterval(row.best)]] as const)),
    ...(best === null ? [] : ([['Best trial', String(best)]] as const)),
    ...(clear === null ? [] : ([['Stands out from the next', clear ? 'yes' : 'no']] as const)),
  ]
}

/** What trials are compared by, which a search names when the first of them has finished. */
const metricOf = ({ metric }: SweepDetails['row']): string => metric ?? 'score'

const isPruned = ({ status }: SweepTrialRow): boolean => status !== 'finished'

const markOf = (trial: SweepTrialRow, x: number, { row, best }: SweepDetails): ScatterMark[] => {
  if (trial.value === null) return []
  const settings = row.axes.map((axis, i) => `${axis} ${trial.values[i]}`).join(', ')
  const name = `Trial ${trial.number}${trial.number === best ? ' (best)' : ''}`
  return [
    {
      key: String(trial.number),
      title: `${name}: ${metricOf(row)} ${formatInterval(trial)}, ${statusText(trial)}; ${settings}`,
      ...{ x, y: trial.value, low: trial.low, high: trial.high },
      ...(isPruned(trial)
        ? { shape: 'square', color: 'var(--curve-2)', hollow: true }
        : { shape: 'circle', color: 'var(--curve-1)' }),
      large: trial.number === best,
      ...(trial.runs.length === 0 ? {} : { href: linkTo(['runs', trial.runs[0]]) }),
    } as ScatterMark,
  ]
}

const Picture = ({ details }: { details: SweepDetails }) => {
  const { row, trials, logAxes, lowerIsBetter } = details
  // A key with one value among all trials tells nothing about scores.
  const numeric = row.axes.filter(
    (_, i) =>
      trials.every(({ values }) => typeof values[i] === 'number') &&
      new Set(trials.map(({ values }) => values[i])).size > 1,
  )
  const chosen = queryChoice('by', [...numeric, trialAxis])
  const at = row.axes.indexOf(chosen)
  const points = trials.flatMap((trial) => markOf(trial, at < 0 ? trial.number : Number(trial.values[at]), details))
  const values = points.map(({ x }) => x)
  // A grid of learning rates has no scale, but steps of about the same factor.
  const isLog =
    at >= 0 &&
    (logAxes.includes(chosen) || (Math.min(...values) > 0 && Math.max(...values) >= 20 * Math.min(...values)))
  return (
    <section class="panel" aria-label="Scores">
      <div class="row controls">
        <label>
          Score against{' '}
          <select value={chosen} onChange={(event) => setQuery({ by: event.currentTarget.value })}>
            {[...numeric, trialAxis].map((axis) => (
              <option key={axis} value={axis}>
                {axis}
              </option>
            ))}
          </select>
        </label>
        <span>
          <Marker shape="circle" color="var(--curve-1)" /> finished; the large one is the best
        </span>
        {points.some(({ hollow }) => hollow) && (
          <span>
            <Marker shape="square" color="var(--curve-2)" hollow /> pruned or not finished: score of its last comparison
          </span>
        )}
      </div>
      {points.length === 0 ? (
        <p class="muted">No trial has a score yet: the first one comes with the first evaluation that is compared.</p>
      ) : (
        <Scatter
          label={`${metricOf(row)} against ${chosen}`}
          across={chosen}
          up={
            row.metric === null
              ? 'score of the last comparison; no trial has finished yet'
              : `${row.metric}, with the 95 % confidence interval of finished trials; ${lowerIsBetter ? 'lower' : 'higher'} is better`
          }
          axis={isLog ? 'log' : 'linear'}
          points={points}
        />
      )}
    </section>
  )
}

const shareOf = ({ runs }: SweepTrialRow): { share: number; text: string } | undefined => {
  const row = runs.map(runRow).find((one) => one?.state === 'running')
  if (row === undefined || !row.totalSteps) return undefined
  return { share: row.step / row.totalSteps, text: `${row.step} / ${row.totalSteps}` }
}

const StatusCell = ({ trial }: { trial: SweepTrialRow }) => {
  const running = shareOf(trial)
  return (
    <>
      <span class={`state ${stateClass(trial.status)}`} title={trial.message ?? undefined}>
        {statusText(trial)}
      </span>
      {running !== undefined && (
        <>
          {' '}
          <Progress share={running.share} label={`Progress of trial ${trial.number}`} /> {running.text}
        </>
      )}
      {trial.message !== null && <span class="error"> {trial.message}</span>}
    </>
  )
}

const columnsOf = ({ row, best, trials }: SweepDetails): TableColumn<SweepTrialRow>[] => {
  const hasTest = trials.some(({ difference }) => difference !== null)
  const several = trials.some(({ of }) => of > 1)
  return [
    {
      key: 'trial',
      title: 'Trial',
      cell: ({ number, runs }) =>
        runs.length === 0 ? (
          number
        ) : (
          <a href={linkTo(['runs', runs[0]])} aria-label={`Trial ${number}`}>
            {number}
          </a>
        ),
      sort: ({ number }) => number,
    },
    ...row.axes.map(
      (axis, i): TableColumn<SweepTrialRow> => ({
        key: `over ${axis}`,
        title: axis,
        number: trials.every(({ values }) => typeof values[i] === 'number'),
        cell: ({ values }) => (typeof values[i] === 'number' ? formatValue(values[i]) : values[i]),
        sort: ({ values }) => values[i],
      }),
    ),
    {
      key: 'score',
      title: row.metric ?? 'Score',
      number: true,
      cell: (trial) => (
        <>
          {trial.number === best && <span class="badge">best</span>} {trial.value === null ? '' : formatInterval(trial)}
        </>
      ),
      sort: ({ value }) => value,
    },
    { key: 'status', title: 'State', cell: (trial) => <StatusCell trial={trial} />, sort: ({ status }) => status },
    ...(hasTest
      ? [
          {
            key: 'behind',
            title: 'Behind the best',
            number: true,
            cell: ({ difference }: SweepTrialRow) =>
              difference && `${formatValue(Math.abs(difference.value))}, p ${difference.probability.toFixed(3)}`,
            sort: ({ difference }: SweepTrialRow) => difference && Math.abs(difference.value),
          },
        ]
      : []),
    ...(several
      ? [{ key: 'runs', title: 'Runs', number: true, cell: ({ done, of }: SweepTrialRow) => `${done} of ${of}` }]
      : []),
    {
      key: 'time',
      title: 'Time of a run',
      number: true,
      cell: ({ seconds }) => (seconds === null ? '' : formatDuration(seconds * 1000)),
      sort: ({ seconds }) => seconds,
    },
  ]
}

const Trials = ({ details }: { details: SweepDetails }) => {
  const rows = ranked(details)
  const compared = rows.flatMap(({ runs }) => runs.slice(0, 1)).slice(0, maxCompared)
  return (
    <>
      <div class="row spread">
        <h2>Trials</h2>
        {compared.length > 1 && (
          <a class="button" href={`#/compare?runs=${encodeURIComponent(encodeIds(compared))}`}>
            Compare the first {compared.length}
          </a>
        )}
      </div>
      <VirtualTable label="Trials" columns={columnsOf(details)} rows={rows} rowKey={({ number }) => String(number)} />
    </>
  )
}

/** Runs that have finished and are no part of any score. */
const Unranked = ({ runs }: { runs: SweepDetails['unranked'] }) =>
  runs.length === 0 ? null : (
    <section aria-label="Runs that are not ranked">
      <h2>Not ranked</h2>
      <ul>
        {runs.map(({ name, id, reason }) => (
          <li key={name}>
            {id === null ? name : <a href={linkTo(['runs', id])}>{name}</a>}: {reason}
          </li>
        ))}
      </ul>
    </section>
  )

export const SweepPage = ({ id }: { id: string }) => {
  const loaded = usePolled<SweepDetails>(`/api/sweep?id=${encodeURIComponent(id)}`)
  return (
    <>
      <div class="head">
        <h1>
          <span class="path-up">
            <a href={linkTo(['sweeps'])} aria-label="All sweeps">
              Sweeps
            </a>{' '}
            /{' '}
          </span>
          {nameOf(id)}
        </h1>
        {loaded.data && (
          <>
            <span class={`state ${stateClass(loaded.data.row.state)}`}>{loaded.data.row.state}</span>
            <span class="muted">{loaded.data.row.title}</span>
          </>
        )}
      </div>
      <Show of={loaded}>
        {(details) => (
          <>
            <Facts facts={factsOf(details)} />
            {details.clear === false && (
              <p class="muted">
                The best trial does not clearly differ from the next. More seeds or validation records may tell.
              </p>
            )}
            <Picture details={details} />
            <Trials details={details} />
            <Unranked runs={details.unranked} />
          </>
        )}
      </Show>
    </>
  )
}
