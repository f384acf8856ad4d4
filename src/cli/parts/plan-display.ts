// Plans: the flags of `plan pretrain`, `plan finetune` and `plan align`, and tables for a terminal.
import { z } from 'zod'
import { formatBytes, formatDuration } from '../../core/index.ts'
import {
  acceleratorNames,
  collectivesTable,
  describePeak,
  interconnectNames,
  type LearnedCalibration,
  type PlannedRow,
  peakHolders,
  planFacts,
  planTable,
  type RunPlans,
  type StartedPlan,
} from '../../runs/index.ts'
import type { CommandContext } from '../command.ts'
import { countField, switchField, textField } from './fields.ts'
import { renderTable } from './table.ts'

/** Flags of a plan beside those of the run, or in their place. */
export const planFields = {
  out: z.string().default('runs/planned').describe('folder that the run would have; a plan writes nothing there'),
  gpu: textField(`graphics card to plan for, by its data sheet: ${acceleratorNames.join(', ')}`),
  count: countField('number of processes that share each batch, one for each graphics card or machine (default: 1)'),
  rank: z.int().nonnegative().optional().describe('number of the process whose memory is planned (default: 0)'),
  interconnect: textField(
    `network between the processes: ${interconnectNames.join(', ')} (default: that of up to 8 cards of the data sheet)`,
  ),
  bandwidth: textField('bits or bytes a second that a process sends while it receives, such as 100Gb or 12.5GB'),
  latency: z
    .number()
    .nonnegative()
    .optional()
    .describe('microseconds of one step of a ring with this bandwidth (default: 50)'),
  utilisation: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe('share of the peak speed that training reaches (default: 0.4)'),
  measure: switchField(
    'time steps of the run on this machine for some seconds, and remember the speed; of a run that writes its own answers, a rollout',
  ),
  story: z.boolean().default(true).describe('plan other methods and the pretraining of the base too'),
  pretrainingTokens: z.number().positive().optional().describe('tokens that the base is pretrained on'),
  pricePerHour: z.number().positive().optional().describe('rent per hour of one machine or `gpu`, of `count`'),
  watts: z.number().positive().optional().describe('power of one machine or `gpu`, of `count`'),
  pricePerKilowattHour: z.number().positive().optional().describe('price of energy'),
  fit: textField('limits to stay within, such as memory=16GB,hours=8,money=50'),
  html: textField('HTML file to write, with the table and the memory of each run'),
}

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
