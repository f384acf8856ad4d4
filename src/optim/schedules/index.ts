// The registry of learning-rate schedules: one entry a file. Names, unions, flags and tests derive from it.
import { z } from 'zod'
import { constant } from './constant.ts'
import { cosine } from './cosine.ts'
import { inverseSquareRoot } from './inverse-square-root.ts'
import { linear } from './linear.ts'
import { evaluateSchedule, type ScheduleDefinition, type SchedulePosition } from './schedule.ts'
import { warmupStableDecay } from './warmup-stable-decay.ts'

export { defineSchedule, type ScheduleDefinition, type SchedulePosition } from './schedule.ts'

export const schedules = {
  constant,
  cosine,
  'inverse-square-root': inverseSquareRoot,
  linear,
  'warmup-stable-decay': warmupStableDecay,
} as const
export type ScheduleType = keyof typeof schedules

/** Any schedule, told apart by `type`. */
export const scheduleSchema = z.discriminatedUnion('type', [
  constant.config,
  cosine.config,
  inverseSquareRoot.config,
  linear.config,
  warmupStableDecay.config,
])
export type ScheduleConfig = z.output<typeof scheduleSchema>

/**
 * The share of the peak learning rate for the update that comes after `step` others, from 0 to 1: a pure function, so that a resumed
 * run goes on where it was. The first update of a warm-up has 0, as in transformers.
 * @throws ConfigError where the schedule needs the length of the run and `totalSteps` is Infinity.
 */
export const scheduleAt = (config: ScheduleConfig, position: SchedulePosition): number =>
  evaluateSchedule(schedules[config.type] as ScheduleDefinition, config, position)
