// What an environment is: it answers the model's turns, with other turns, rewards and an end; and how a kind of environment is declared, so that
// recipes and flags can name it. Independent of models and tokens.
import { z } from 'zod'
import { TunesmithError } from '../../core/index.ts'
import type { PromptRecord, Turn } from '../../tasks/index.ts'

/** How an episode begins. */
export interface EpisodeStart<State = unknown> {
  /** Turns of the prompt, instead of those of the record: the system prompt and the first question. */
  messages?: readonly Turn[]
  /** What `step` gets back: one value for each episode, since many run at the same time. */
  state?: State
}

/** The environment's answer to a turn of the model. */
export interface EnvironmentStep {
  /** Turns that follow, of users or tools; needed unless the episode is done. */
  messages: readonly Turn[]
  /** Reward of the turn; the rewards of an episode are summed. */
  reward?: number
  /** Whether the episode ends with the model's turn. */
  done: boolean
}

/** What `step` may use beside the messages. */
export interface StepContext<State = unknown> {
  record: PromptRecord
  /** What `start` gave. */
  state: State | undefined
  /** Aborted when the time is over, or when the run stops. */
  signal: AbortSignal
}

/** A partner of the model in episodes of several turns. It has no state of its own: many episodes run at the same time. */
export interface Environment<State = unknown> {
  readonly name: string
  start?(record: PromptRecord, options: { signal: AbortSignal }): EpisodeStart<State> | Promise<EpisodeStart<State>>
  /** @param messages all turns so far; the last one is the model's */
  step(messages: readonly Turn[], context: StepContext<State>): EnvironmentStep | Promise<EnvironmentStep>
}

/** An environment as a function in a recipe: its `step` alone. */
export type EnvironmentFunction = Environment['step']

/** An environment that threw, took too long, or returned something else than turns, a finite reward and whether it is done. */
export class EnvironmentError extends TunesmithError {
  override name = 'EnvironmentError'
}

/** Settings of episodes. */
export const episodeSchema = z.strictObject({
  maxTurns: z
    .int()
    .positive()
    .default(8)
    .describe('maximum turns of the model in an answer; a longer one is cut and counted'),
  maxTokens: z
    .int()
    .positive()
    .optional()
    .describe(
      'maximum tokens of an answer, those of the environment included (default: what the model takes after the prompt)',
    ),
  timeoutSeconds: z
    .number()
    .positive()
    .max(86_400)
    .default(60)
    .describe('maximum seconds of a step of the environment'),
  onFailure: z
    .enum(['stop', 'null'])
    .default('stop')
    .describe('when the environment fails: end the run, or leave the answer without a reward and count it'),
})

/** Checked settings of episodes. */
export type EpisodeSettings = z.output<typeof episodeSchema>

/** A kind of environment, as `defineEnvironment` takes it. */
export interface EnvironmentDefinition<Schema extends z.ZodObject = z.ZodObject, Type extends string = string> {
  /** Name in recipes and flags, kebab-case. */
  readonly type: Type
  /** Publication, or the program whose form it has. */
  readonly source: string
  /** One sentence for help and reports. */
  readonly summary: string
  /** Settings, without `type`. */
  readonly config: Schema
  create(config: z.output<Schema>): Environment
}

/** Declares an environment; `registerEnvironment` makes it known to recipes and flags. */
export const defineEnvironment = <const Type extends string, Schema extends z.ZodObject>(
  definition: EnvironmentDefinition<Schema, Type>,
): EnvironmentDefinition<Schema, Type> => definition
