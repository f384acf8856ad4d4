// The interface of schedules: the learning rate at a step as a share of the peak, a pure function.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'

/** Position in a run. */
export interface SchedulePosition {
  /** Number of updates before this one. */
  step: number
  /** Number of updates of the run; Infinity where it has no end. */
  totalSteps: number
}

/** A schedule with its settings. */
export interface ScheduleDefinition<Schema extends z.ZodType = z.ZodType, Type extends string = string> {
  /** Name in recipes and flags, kebab-case, equal to the file's name. */
  readonly type: Type
  /** One sentence for help. */
  readonly summary: string
  /** Paper or reference implementation. */
  readonly source: string
  /** Settings, `type` included. */
  readonly config: Schema
  /** Whether the shape depends on the length of the run. */
  needsTotalSteps(config: z.output<Schema>): boolean
  /** Share of the peak from 0 to 1. Steps beyond the last equal the last. */
  at(config: z.output<Schema>, position: SchedulePosition): number
}

/** Defines a schedule; `registerSchedule` makes it available to recipes and flags. */
export const defineSchedule = <const Type extends string, Schema extends z.ZodType>(
  definition: ScheduleDefinition<Schema, Type>,
): ScheduleDefinition<Schema, Type> => definition

/** Settings of the warmup from 0, in steps or as a share of the run. */
export const warmupFields = {
  warmupSteps: z.number().int().min(0).default(0).describe('linear warmup from 0, in steps'),
  warmupShare: z.number().min(0).max(1).default(0).describe('linear warmup from 0, as a share of all steps'),
}

/** Checked settings of the warmup. */
export interface WarmupConfig {
  warmupSteps: number
  warmupShare: number
}

/** A setting: the end of the decay. */
export const floorField = z
  .number()
  .min(0)
  .max(1)
  .default(0)
  .describe('learning rate at the end, as a share of the peak')

/** For `.refine` of schemas with `warmupFields`. */
export const oneWarmup = ({ warmupSteps, warmupShare }: WarmupConfig): boolean => warmupSteps === 0 || warmupShare === 0
export const oneWarmupMessage = {
  path: ['warmupShare'],
  message: 'Expected `warmupSteps` or `warmupShare`, got both. Remove one.',
}

/** Steps of warmup in a run of this length, rounded up as in transformers. */
export const warmupLength = ({ warmupSteps, warmupShare }: WarmupConfig, totalSteps: number): number =>
  warmupShare === 0 ? warmupSteps : Math.ceil(warmupShare * totalSteps)

/** Completed share of the steps after warmup, from 0 to 1. */
const progressAfter = (warmup: number, { step, totalSteps }: SchedulePosition): number =>
  Math.min(1, (step - warmup) / Math.max(1, totalSteps - warmup))

/** Evaluates a schedule. @throws ConfigError for an invalid position, or where the length of the run is needed and unknown */
export const evaluateSchedule = <Schema extends z.ZodType>(
  definition: ScheduleDefinition<Schema>,
  config: z.output<Schema>,
  position: SchedulePosition,
): number => {
  const { step, totalSteps } = position
  if (!(step >= 0 && step < Number.POSITIVE_INFINITY))
    throw new ConfigError(`Expected a number of at least 0 for \`step\` of a schedule, got ${step}.`)
  if (!(totalSteps > 0))
    throw new ConfigError(`Expected more than 0 for \`totalSteps\` of a schedule, got ${totalSteps}.`)
  if (totalSteps === Number.POSITIVE_INFINITY && definition.needsTotalSteps(config))
    throw new ConfigError(
      `The schedule \`${definition.type}\` needs a run of known length: set a budget, or use the schedule \`constant\` or \`inverse-square-root\` with \`warmupSteps\`.`,
    )
  return definition.at(config, position)
}

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
