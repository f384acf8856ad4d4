// The flag `--dry-run` of commands that train: the plan of the run in place of the run.
import { z } from 'zod'
import type { RunPlans, RunResult } from '../../runs/index.ts'
import type { CommandContext } from '../command.ts'
import { renderPlan } from './plan-display.ts'
import { renderRun } from './run-display.ts'

/** The flag, for the options of a command. */
export const dryRunField = {
  dryRun: z
    .boolean()
    .default(false)
    .describe('print the plan of the run (memory, FLOPs, time and cost) instead of starting it'),
}

/** The result of a run, or its plan, as text. */
export const renderRunOrPlan = (result: RunResult | RunPlans, context: Pick<CommandContext, 'withFlags'>): string =>
  'rows' in result ? renderPlan(result, context) : renderRun(result)
