// Commands that train: the run with its display, studio and trackers, or with `--dry-run` its plan in place of it.
import { z } from 'zod'
import { readLaunch } from '../../distributed/index.ts'
import { planRun, type RunListener, type RunPlans, type RunResult } from '../../runs/index.ts'
import type { CommandContext } from '../command.ts'
import { flagNaming } from '../flag-names.ts'
import { flagsOf } from '../flags.ts'
import { switchField } from './fields.ts'
import { planFields, renderPlan } from './plan-display.ts'
import { displayRun, renderRun } from './run-display.ts'
import { type WatchFlags, watched, watchFields, watchFlagsOf } from './run-tracking.ts'

/** The flag, for the options of a command. */
export const dryRunField = {
  dryRun: switchField('print the plan of the run (memory, FLOPs, time and cost) instead of starting it'),
}

/** The plan of a run in place of it: that of the first of the processes that a launcher started, which shows it. */
export const planDryRun = (recipe: object): Promise<RunPlans> => {
  const { size = 1 } = readLaunch() ?? {}
  return planRun(recipe, size === 1 ? {} : { count: size })
}

/** The flags of a command that trains beside its recipe. */
export const trainingFields = { ...watchFields, ...dryRunField }

/** Starts the run of a command line, or plans it. */
export const runOrPlan = async <Recipe extends object>(
  { dryRun, ...given }: Recipe & WatchFlags & { dryRun: boolean },
  context: CommandContext,
  { command, label }: { command: string; label: string },
  start: (recipe: object, listener: RunListener) => Promise<RunResult>,
): Promise<RunResult | RunPlans> => {
  const [flags, recipe] = watchFlagsOf(given as WatchFlags)
  if (dryRun) return planDryRun({ ...recipe, command })
  const display = displayRun(context, { label, ...recipe })
  try {
    return await watched(context, flags, (listener) => start(recipe, { ...display, ...listener }))
  } finally {
    display.stop()
  }
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
