// Plans as tables for a terminal.
import { formatBytes, formatCount, formatDuration } from '../../core/index.ts'
import type { PlannedRow, RunPlans } from '../../runs/index.ts'
import { renderTable } from './table.ts'

const flopsText = (flops: number): string => (flops === 0 ? '–' : flops.toExponential(2))

const timeText = ({ costs }: PlannedRow): string =>
  costs === undefined
    ? '–'
    : `${formatDuration(1000 * costs.seconds)} (${costs.range.map((seconds) => formatDuration(1000 * seconds)).join(' to ')})`

const optional = (value: number | undefined, text: (value: number) => string): string =>
  value === undefined ? '–' : text(value)

/** A row of a plan as cells. */
const cellsOf = (row: PlannedRow): string[] => [
  row.name,
  formatCount(row.trainedParameters),
  `${formatBytes(row.memory.peakBytes)}${row.fits ? '' : ' (too much)'}`,
  flopsText(row.flops),
  timeText(row),
  optional(row.costs?.money, (money) => money.toPrecision(3)),
  optional(row.costs?.kilowattHours, (energy) => `${energy.toPrecision(3)} kWh`),
  formatBytes(row.diskBytes),
]
const head = ['run', 'trained', 'memory', 'FLOPs', 'time', 'money', 'energy', 'disk']

/** What holds the memory at the peak, as bars. */
const waterfall = ({ memory }: PlannedRow): string[] => {
  const shown = memory.holders.slice(0, 8)
  const width = Math.max(...shown.map(({ label, operator }) => `${label} ${operator}`.trim().length))
  const lines = shown.map(({ label, operator, bytes }) => {
    const bar = '█'.repeat(Math.round((20 * bytes) / memory.peakBytes))
    return `  ${`${label} ${operator}`.trim().padEnd(width)}  ${formatBytes(bytes).padStart(8)} ${bar}`.trimEnd()
  })
  const where = [memory.phase, memory.operator].filter((part) => part !== '').join(', ')
  return [`Peak of ${formatBytes(memory.peakBytes)} in ${where}, held by`, ...lines]
}

/** A plan as text. */
export const renderPlan = ({ rows, speed, memoryBytes, notes, fit }: RunPlans): string => {
  const [asked] = rows
  const steps = asked.steps === undefined ? 'unknown steps' : `${formatCount(asked.steps)} steps`
  const lines = [
    renderTable(head, rows.map(cellsOf)),
    `${steps} of ${formatCount(asked.tokensPerStep)} tokens, ${formatCount(asked.parameters)} parameters; memory of ${formatBytes(memoryBytes)}`,
    ...waterfall(asked),
    ...(speed === undefined ? [] : [`time by ${speed.source}`]),
  ]
  if (fit !== undefined) {
    const changes = Object.entries(fit.changes).map(([name, value]) => `${name} ${value}`)
    lines.push(
      changes.length === 0
        ? 'fits within the limits as it is'
        : `fits with ${changes.join(', ')} (limited by ${fit.binds.join(' and ')})`,
    )
  }
  return [...lines, ...notes.map((note) => `note: ${note}`)].join('\n')
}
