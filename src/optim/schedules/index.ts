// The registry of learning-rate schedules, one file each. Schemas, flags and tests derive from it.
import type { z } from 'zod'
import { openUnion, Registry } from '../../core/index.ts'
import { constant } from './constant.ts'
import { cosine } from './cosine.ts'
import { cosineRestarts } from './cosine-restarts.ts'
import { inverseSquareRoot } from './inverse-square-root.ts'
import { linear } from './linear.ts'
import { polynomial } from './polynomial.ts'
import { evaluateSchedule, type ScheduleDefinition, type SchedulePosition } from './schedule.ts'
import { warmupStableDecay } from './warmup-stable-decay.ts'

export { defineSchedule, type ScheduleDefinition, type SchedulePosition } from './schedule.ts'

const registry = new Registry<ScheduleDefinition>('a schedule')

/** Every schedule by its `type`, those that packages registered included. */
export const schedules = registry.builtIn([
  constant,
  cosine,
  cosineRestarts,
  inverseSquareRoot,
  linear,
  polynomial,
  warmupStableDecay,
])
/** Names of the built-in schedules. */
export type ScheduleType = keyof typeof schedules

/** Settings of any schedule, told apart by `type`. */
export const scheduleSchema = openUnion('type', () =>
  registry.list.map(({ config }) => config as (typeof schedules)[ScheduleType]['config']),
)
/** Checked settings of a built-in schedule, defaults filled in. */
export type ScheduleConfig = z.output<typeof scheduleSchema>

/**
 * Adds a schedule to recipes and flags.
 * @throws ConfigError for a `type` that is taken
 */
export const registerSchedule = (definition: ScheduleDefinition): void => registry.register(definition)

/**
 * Learning rate at a position in the run, as a share of the peak from 0 to 1. A pure function, so a resumed run continues
 * exactly. The first step of a warmup has 0, as in transformers.
 * @throws ConfigError where the schedule needs the length of the run and `totalSteps` is Infinity
 */
export const scheduleAt = (config: ScheduleConfig, position: SchedulePosition): number =>
  evaluateSchedule(schedules[config.type] as ScheduleDefinition, config, position)
