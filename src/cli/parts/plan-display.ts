// Plans as tables for a terminal.
import { formatBytes, formatDuration } from '../../core/index.ts'
import {
  collectivesTable,
  describePeak,
  type LearnedCalibration,
  type PlannedRow,
  peakHolders,
  planFacts,
  planTable,
  type RunPlans,
  type StartedPlan,
} from '../../runs/index.ts'
import type { CommandContext } from '../command.ts'
import { renderTable } from './table.ts'

/** What holds the memory at the peak, as bars. */
const waterfall = (row: PlannedRow): string[] => {
  const shown = peakHolders(row)
  const width = Math.max(...shown.map(({ name }) => name.length))
  const lines = shown.map(({ name, bytes, share }) =>
    `  ${name.padEnd(width)}  ${formatBytes(bytes).padStart(8)} ${'█'.repeat(Math.round(20 * share))}`.trimEnd(),
  )
  return [`Peak of ${describePeak(row)}, held by`, ...lines]
}

/** What a process exchanges in a step. */
const exchanged = (row: PlannedRow): string[] => {
  const table = collectivesTable(row)
  return table === undefined ? [] : [renderTable(table.head, table.rows)]
}

/** A plan as text. */
export const renderPlan = (
  plans: RunPlans & { html?: string },
  { withFlags }: Pick<CommandContext, 'withFlags'>,
): string => {
  const { head, rows } = planTable(plans)
  const [facts, ...more] = planFacts(plans)
  return [
    renderTable(head, rows),
    facts,
    ...waterfall(plans.rows[0]),
    ...exchanged(plans.rows[0]),
    ...more,
    ...plans.notes.map((note) => `note: ${withFlags(note)}`),
    ...(plans.html === undefined ? [] : [`page  ${plans.html}`]),
  ].join('\n')
}

/** Prediction and measurement of a run as text. */
export const renderStartedPlan = ({ prediction, measured, costs }: StartedPlan): string =>
  [
    renderTable(
      ['', 'predicted', 'measured', 'difference'],
      costs.map(({ name, predicted, measured: taken, difference }) => [name, predicted, taken, difference]),
    ),
    `peak in ${prediction.phase}; planned in ${formatDuration(1000 * prediction.planSeconds)}`,
    ...(prediction.source === undefined ? [] : [`time by ${prediction.source}`]),
    ...prediction.notes.map((note) => `note: ${note}`),
    ...(measured === undefined
      ? ['No measurement: a run is measured when it ends, and this one still trains, was stopped, or failed.']
      : []),
  ].join('\n')

/** What was learned from runs as text. */
export const renderCalibrations = (learned: readonly LearnedCalibration[]): string =>
  renderTable(
    ['run', 'precision', 'threads', 'GFLOP/s', 'memory beside the plan', 'time predicted', 'measured'],
    learned.map(({ run, precision, threads, flopsPerSecond, marginBytes = 0, predictedSeconds, measuredSeconds }) => [
      run,
      precision,
      String(threads),
      (flopsPerSecond / 1e9).toPrecision(3),
      formatBytes(marginBytes),
      predictedSeconds === undefined ? '–' : formatDuration(1000 * predictedSeconds),
      formatDuration(1000 * measuredSeconds),
    ]),
  )
