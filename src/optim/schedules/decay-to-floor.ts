// The form that schedules share which decay from the peak to a floor over the whole run, after warmup.
import { z } from 'zod'
import {
  floorField,
  oneWarmup,
  oneWarmupMessage,
  progressAfter,
  type SchedulePosition,
  type WarmupConfig,
  warmupFields,
  warmupLength,
} from './schedule.ts'

/** Settings that such schedules share. */
export const decayFields = { ...warmupFields, floor: floorField }

/** Settings of such a schedule without others of its own. */
export const decayConfig = <const Type extends string>(type: Type, description: string) =>
  z.strictObject({ type: z.literal(type).describe(description), ...decayFields }).refine(oneWarmup, oneWarmupMessage)

/** @param remaining share of the way to the floor that is left, by the completed share of the decay, both from 0 to 1 */
export const decayAt =
  (remaining: (completed: number) => number) =>
  (config: WarmupConfig & { floor: number }, position: SchedulePosition): number => {
    const warmup = warmupLength(config, position.totalSteps)
    if (position.step < warmup) return position.step / warmup
    return config.floor + (1 - config.floor) * remaining(progressAfter(warmup, position))
  }
