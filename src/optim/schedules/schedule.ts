// What a schedule is: the share of the peak learning rate at a step, as a pure function. Knows no schedule.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'

export interface SchedulePosition {
  /** Updates made before this one: 0 at the first. */
  step: number
  /** Updates of the whole run; Infinity where it has no end. */
  totalSteps: number
}

export interface ScheduleDefinition<Schema extends z.ZodType = z.ZodType, Type extends string = string> {
  /** Name in recipes and flags, kebab-case, equal to the file's name. */
  readonly type: Type
  /** One sentence for help. */
  readonly summary: string
  /** The paper or reference implementation. */
  readonly source: string
  readonly config: Schema
  /** Whether the shape depends on the length of the run. */
  needsTotalSteps(config: z.output<Schema>): boolean
  /** From 0 to 1. Steps beyond the last are as the last. */
  at(config: z.output<Schema>, position: SchedulePosition): number
}

/** Defines a schedule; `registerSchedule` makes it available to recipes and flags. */
export const defineSchedule = <const Type extends string, Schema extends z.ZodType>(
  definition: ScheduleDefinition<Schema, Type>,
): ScheduleDefinition<Schema, Type> => definition

/** Warm-up from 0, in steps or as a share of the run. */
export const warmupFields = {
  warmupSteps: z.number().int().min(0).default(0).describe('steps of linear growth from 0'),
  warmupShare: z.number().min(0).max(1).default(0).describe('the same as a share of all steps'),
}

export interface WarmupConfig {
  warmupSteps: number
  warmupShare: number
}

export const floorField = z
  .number()
  .min(0)
  .max(1)
  .default(0)
  .describe('share of the learning rate that the decay ends at')

/** For `.refine` of every schema with `warmupFields`. */
export const oneWarmup = ({ warmupSteps, warmupShare }: WarmupConfig): boolean => warmupSteps === 0 || warmupShare === 0
export const oneWarmupMessage = {
  path: ['warmupShare'],
  message: 'Expected `warmupSteps` or `warmupShare`, got both. Remove one.',
}

/** Steps of warm-up in a run of this length, rounded up as transformers does. */
export const warmupLength = ({ warmupSteps, warmupShare }: WarmupConfig, totalSteps: number): number =>
  warmupShare === 0 ? warmupSteps : Math.ceil(warmupShare * totalSteps)

/** Done share of what comes after warm-up, from 0 to 1. */
export const progressAfter = (warmup: number, { step, totalSteps }: SchedulePosition): number =>
  Math.min(1, (step - warmup) / Math.max(1, totalSteps - warmup))

/** Checks the position, and asks the definition. @throws ConfigError where the length of the run is needed and unknown. */
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
      `Expected a run of known length for the schedule \`${definition.type}\`, got one without end. Give a budget, or take the schedule \`constant\` or \`inverse-square-root\` with \`warmupSteps\`.`,
    )
  return definition.at(config, position)
}
