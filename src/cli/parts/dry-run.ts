// The flag `--dry-run` of commands that train: the plan of the run in place of the run.
import { z } from 'zod'
import { readLaunch } from '../../distributed/index.ts'
import { planRun, type RunPlans, type RunResult } from '../../runs/index.ts'
import type { CommandContext } from '../command.ts'
import { flagNaming } from '../flag-names.ts'
import { flagsOf } from '../flags.ts'
import { renderPlan } from './plan-display.ts'
import { planFields } from './plan-fields.ts'
import { renderRun } from './run-display.ts'

/** The flag, for the options of a command. */
export const dryRunField = {
  dryRun: z
    .boolean()
    .default(false)
    .describe('print the plan of the run (memory, FLOPs, time and cost) instead of starting it'),
}

/** The plan of a run in place of it: that of the first of the processes that a launcher started, which shows it. */
export const planDryRun = (recipe: object): Promise<RunPlans> => {
  const { size = 1 } = readLaunch() ?? {}
  return planRun(recipe, size === 1 ? {} : { count: size })
}

/** Names the settings of a plan as flags of the command that has them; the command that trains does not. */
const planNaming = (command: string): ((text: string) => string) => {
  const naming = flagNaming(flagsOf(z.strictObject(planFields)))
  return (text) => text.replaceAll(/`[A-Za-z]\w*`/g, (word) => naming(word).replace(/^`(?=--)/, `\`${command} `))
}

/**
 * The result of a run, or its plan, as text.
 * @param planCommand the command that plans such runs, where there is one
 */
export const renderRunOrPlan =
  (planCommand?: string) =>
  (result: RunResult | RunPlans, { withFlags }: Pick<CommandContext, 'withFlags'>): string => {
    if (!('rows' in result)) return renderRun(result)
    const named = planCommand === undefined ? (text: string) => text : planNaming(planCommand)
    return renderPlan(result, { withFlags: (text) => named(withFlags(text)) })
  }
