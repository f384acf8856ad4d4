// A run that goes on beyond its budget: what may be extended, and what its record says of it.
import { ConfigError } from '../../core/index.ts'
import { scheduleAt } from '../../optim/index.ts'
import type { LoopState } from '../../training/index.ts'
import type { BuiltRun } from './run-kind.ts'
import type { RunRecord } from './run-record.ts'

/** The error for a run that has no checkpoint to go on from. */
export const noCheckpoint = (out: string): ConfigError =>
  new ConfigError(`Expected a checkpoint in ${out} to go on from, found none. Start a run with the larger budget.`)

/**
 * The state of a run at its last checkpoint, under a new budget. Patience begins anew, as a run that it ended would end again at once.
 * @throws ConfigError for a budget that is spent already
 */
export const extendedState = (state: LoopState, { length, recipe: { budget } }: BuiltRun): LoopState => {
  if (length.done(state))
    throw new ConfigError(
      `Expected a budget beyond step ${state.step}, where the run is after ${state.tokens} tokens, got ${JSON.stringify(budget)}. Raise it.`,
    )
  return { ...state, stale: 0 }
}

/**
 * Notes where a run goes on, how long it is now, and that its schedule, which has another length, raises the learning rate.
 * @param before learning rate of its last step; undefined before the first one
 */
export const recordExtension = (
  record: RunRecord,
  { length, learningRate, recipe: { schedule } }: BuiltRun,
  state: LoopState,
  before: number | undefined,
): void => {
  const { step } = state
  const totalSteps = length.totalSteps(state)
  record.append({
    type: 'start',
    time: new Date().toISOString(),
    step,
    ...(length.timed ? {} : { totalSteps }),
  })
  const next = learningRate * scheduleAt(schedule, { step, totalSteps })
  if (before === undefined || next <= before) return
  record.note(
    `The learning rate rises from ${before.toPrecision(3)} to ${next.toPrecision(3)} at step ${step + 1}: the schedule (${schedule.type}) covers ${totalSteps} steps now.`,
    step,
  )
}
