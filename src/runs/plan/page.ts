// Plans as tables, and as one self-contained HTML page.
import { formatBytes, formatCount, formatPreciseDuration } from '../../core/index.ts'
import { escapeHtml, htmlPage, htmlTable } from '../../tracking/index.ts'
import { describeChanges, type Fit } from './fit.ts'
import type { PlannedRow, RunPlans } from './plan.ts'
import type { ProcessPlan } from './step-time.ts'

const flopsText = (flops: number): string => (flops === 0 ? '–' : flops.toExponential(2))

const timeText = ({ costs }: PlannedRow): string => {
  if (costs === undefined) return '–'
  const [from, to] = costs.range
  const range =
    from === to ? '' : ` (${[from, to].map((seconds) => formatPreciseDuration(1000 * seconds)).join(' to ')})`
  return `${formatPreciseDuration(1000 * costs.seconds)}${range}`
}

const optional = <Value>(value: Value | undefined, text: (value: Value) => string): string =>
  value === undefined ? '–' : text(value)

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

/** Share of a step in which a process waits for others. */
const waitingText = ({ step }: PlannedRow): string =>
  optional(step, ({ waiting, seconds }) => percent(waiting / seconds))

const sentBytes = ({ collectives }: ProcessPlan): number => collectives.reduce((sum, one) => sum + one.sentBytes, 0)

/** The runs of a plan as a table; those of several processes with what each sends in a step, and how long it waits. */
export const planTable = ({ rows }: RunPlans): { head: string[]; rows: string[][] } => {
  const shared = rows.some(({ processes }) => processes !== undefined)
  return {
    head: [
      ...['run', 'trained', 'memory', 'FLOPs', 'time'],
      ...(shared ? ['sent a step', 'waiting'] : []),
      ...['money', 'energy', 'disk'],
    ],
    rows: rows.map((row) => [
      row.name,
      formatCount(row.trainedParameters),
      `${formatBytes(row.memory.peakBytes)}${row.fits ? '' : ' (too much)'}`,
      flopsText(row.flops),
      timeText(row),
      ...(shared ? [optional(row.processes, (own) => formatBytes(sentBytes(own))), waitingText(row)] : []),
      optional(row.costs?.money, (money) => money.toPrecision(3)),
      optional(row.costs?.kilowattHours, (energy) => `${energy.toPrecision(3)} kWh`),
      optional(row.diskBytes, formatBytes),
    ]),
  }
}

/** What a process of a run exchanges in a step, by kind of collective; undefined for a run in one process. */
export const collectivesTable = ({ processes }: PlannedRow): { head: string[]; rows: string[][] } | undefined =>
  processes && {
    head: ['collective', 'calls a step', 'tensors', 'sent'],
    rows: processes.collectives.map(({ kind, calls, bytes, sentBytes: sent }) => [
      kind,
      String(Number(calls.toFixed(1))),
      formatBytes(bytes),
      formatBytes(sent),
    ]),
  }

/** `rank 0 of 8: 4 rows of 4.1k tokens a step`, and how long it waits for the others. */
const processFacts = ({ processes, step }: PlannedRow, { network }: RunPlans): string[] => {
  if (processes === undefined) return []
  const { rank, count, rows, tokens } = processes
  const duration = (seconds: number) => formatPreciseDuration(1000 * seconds)
  const facts = [
    `rank ${rank} of ${count}: ${Number(rows.toFixed(1))} rows of together ${formatCount(tokens)} tokens in a step`,
  ]
  if (step !== undefined && network !== undefined)
    facts.push(
      `a step takes ${duration(step.seconds)}, with ${duration(step.communicating)} of communication, of which it waits for ${duration(step.waiting)} (${percent(step.waiting / step.seconds)}); network of ${network.source}`,
    )
  return facts
}

/** Holders of memory that are listed. */
const mostHolders = 8

/** What holds the memory at the peak, largest first, as shares of it. */
export const peakHolders = ({ memory }: PlannedRow): { name: string; bytes: number; share: number }[] =>
  memory.holders.slice(0, mostHolders).map(({ label, operator, bytes }) => ({
    name: `${label} ${operator}`.trim(),
    bytes,
    share: bytes / memory.peakBytes,
  }))

/** `1.2 GiB in backward, aten::mm`. */
export const describePeak = ({ memory }: PlannedRow): string =>
  `${formatBytes(memory.peakBytes)} in ${[memory.phase, memory.operator].filter((part) => part !== '').join(', ')}`

/** `with 3 h 10 min and 4.20 of the money left`. */
const describeLeft = ({ hours, money }: NonNullable<Fit['left']>): string => {
  const parts = [
    ...(hours === undefined ? [] : [formatPreciseDuration(3_600_000 * hours)]),
    ...(money === undefined ? [] : [`${money.toPrecision(3)} of the money`]),
  ]
  return `with ${parts.join(' and ')} left`
}

/** How the run fits within the limits, and what decides it. */
const describeFit = ({ changes, binds, memoryBytes, left, speed }: Fit): string => {
  const parts = [
    Object.keys(changes).length === 0
      ? 'fits within the limits as it is'
      : `fits with ${describeChanges(changes)} (limited by ${binds.join(' and ')})`,
  ]
  if (memoryBytes !== undefined) parts.push(`about ${formatBytes(memoryBytes)} in all`)
  if (left !== undefined) parts.push(describeLeft(left))
  if (speed !== undefined) parts.push(`by ${speed.source}`)
  return parts.join(', ')
}

/** Lines about the run that was asked for, the source of its speed, and the limits. */
export const planFacts = (plans: RunPlans): string[] => {
  const { rows, speed, memoryBytes, fit } = plans
  const [asked] = rows
  const steps = asked.steps === undefined ? 'unknown steps' : `${formatCount(asked.steps)} steps`
  return [
    `${steps} of ${formatCount(asked.tokensPerStep)} tokens, ${formatCount(asked.parameters)} parameters; memory of ${formatBytes(memoryBytes)}`,
    ...(speed === undefined ? [] : [`time by ${speed.source}`]),
    ...processFacts(asked, plans),
    ...(fit === undefined ? [] : [describeFit(fit)]),
  ]
}

const bar = ({ name, bytes, share }: ReturnType<typeof peakHolders>[number]): string => {
  const width = (100 * share).toFixed(1)
  return (
    `<tr><td>${escapeHtml(name)}</td><td class="number">${escapeHtml(formatBytes(bytes))}</td>` +
    `<td style="width:50%"><svg viewBox="0 0 100 4" preserveAspectRatio="none" style="height:1em" class="s0" role="img" ` +
    `aria-label="${width} %"><rect width="${width}" height="4" fill="currentColor"/></svg></td></tr>`
  )
}

const collectives = (row: PlannedRow): string => {
  const table = collectivesTable(row)
  return table === undefined ? '' : htmlTable(table.head, table.rows)
}

const waterfall = (row: PlannedRow): string =>
  `<section><h2>${escapeHtml(row.name)}: peak of ${escapeHtml(describePeak(row))}</h2>` +
  `<table style="width:100%"><tr><th>held by</th><th>bytes</th><th>share of the peak</th></tr>${peakHolders(row).map(bar).join('')}</table>` +
  `${htmlTable(
    ['phase', 'largest memory'],
    row.memory.phases.map(({ phase, peakBytes }) => [phase === '' ? 'building' : phase, formatBytes(peakBytes)]),
  )}${collectives(row)}</section>`

/** The plan as a page: its table, and the memory of each run at its peak. */
export const renderPlanPage = (plans: RunPlans): string => {
  const { head, rows } = planTable(plans)
  const lines = [...planFacts(plans), ...plans.notes].map((line) => `<p>${escapeHtml(line)}</p>`)
  // Of a run that is over only the peak is known, which the table has.
  const shown = plans.rows.filter(({ memory }) => memory.holders.length > 0)
  return htmlPage('Plan', ['<h1>Plan</h1>', htmlTable(head, rows), ...lines, ...shown.map(waterfall)].join('\n'))
}
