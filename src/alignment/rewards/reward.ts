// What a reward function is: a name, a weight and a function from answers to numbers; and how a kind of reward is declared, so that recipes and
// flags can name it. Independent of particular rewards and of what is learned from them.
import { z } from 'zod'
import { TunesmithError } from '../../core/index.ts'
import type { FinishReason } from '../../generation/index.ts'
import type { Model } from '../../models/index.ts'
import type { PromptRecord, PromptText, Turn } from '../../tasks/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'

/** What an environment adds to the sample of an episode. */
export interface SampledEpisode {
  /** Turns after the prompt: those of the model, and those of the environment. */
  messages: readonly Turn[]
  /** Sum of the environment's rewards; null where it gave none. */
  reward: number | null
  /** Whether the environment failed: the sample has no reward then, whatever the functions give. */
  failed?: boolean
}

/** An answer to score. */
export interface RewardSample {
  /** The prompt of the record: raw text, or turns. */
  prompt: PromptText
  /** The answer as text, without special tokens; of an episode, the last turn of the model. */
  completion: string
  /** Token ids of the prompt, as the policy read them. */
  promptIds: ArrayLike<number>
  /** Token ids of the answer, as the policy wrote them, with the end token if it wrote one. */
  completionIds: ArrayLike<number>
  record: PromptRecord
  /** Why the answer ended: `eos` or `stop` if the policy ended it, `length` if it was truncated. */
  finishReason: FinishReason
  /** The turns and the reward of an environment; undefined for answers of one turn. */
  episode?: SampledEpisode
}

/** A reward by sample: a number, or null where the function does not apply to the sample. */
export type RewardValues = readonly (number | null)[]

/** Scores samples. The signal is aborted when the time is over, or when the run stops. */
export type ScoreFunction = (
  samples: readonly RewardSample[],
  options: { signal: AbortSignal },
) => RewardValues | Promise<RewardValues>

/** What happens when a reward function fails. */
export interface RewardLimits {
  /** Maximum time of a call (default: 60). */
  timeoutSeconds?: number
  /** How often a call that fails is tried (default: 1). */
  attempts?: number
  /**
   * After the last attempt: `stop` ends the run with an error; `null` leaves the sample without a reward and counts it, so that it is
   * excluded from the mean of its group (default: `stop`).
   */
  onFailure?: 'stop' | 'null'
  /** Maximum samples of a call (default: all). One call fails as a whole. */
  samplesPerCall?: number
  /** Maximum calls of this function at the same time (default: no limit of its own). */
  concurrency?: number
}

/** A reward function. */
export interface RewardFunction extends RewardLimits {
  readonly name: string
  /** Factor in the sum of all rewards. */
  readonly weight: number
  readonly score: ScoreFunction
  /**
   * What determines the values beside the sample, such as settings and a hash of files: values are cached by it and by the content of the
   * sample. Undefined for a function that is not cached.
   */
  readonly identity?: string
  /** Whether it scores with a model in this process, whose memory and operations are those of the run (default: false). */
  readonly usesModel?: boolean
  /** Frees what the function holds. */
  close?(): void | Promise<void>
}

/** What failed in a call of a reward function. */
export type RewardFailure = 'error' | 'timeout' | 'wrong-count' | 'not-a-number'

/** A reward function that threw, took too long, or returned something else than a finite number or null per sample. */
export class RewardError extends TunesmithError {
  override name = 'RewardError'
  readonly failure: RewardFailure
  /** False where another attempt cannot help, such as a wrong address. */
  readonly retry: boolean

  constructor(message: string, { failure = 'error', retry = true }: { failure?: RewardFailure; retry?: boolean } = {}) {
    super(message)
    this.failure = failure
    this.retry = retry
  }
}

/** Settings that every reward has. */
export const rewardFields = {
  name: z
    .string()
    .regex(/^[A-Za-z][\w-]*$/, 'letters, digits, _ and -')
    .optional()
    .describe('name in metrics and files (default: the type)'),
  weight: z.number().default(1).describe('factor of this reward in the sum of all rewards'),
  timeoutSeconds: z
    .number()
    .positive()
    .max(86_400)
    .optional()
    .describe('maximum seconds of a call (default: 60, or as the reward needs)'),
  attempts: z.int().min(1).max(100).optional().describe('attempts at a call that fails (default: 1; 3 for `http`)'),
  onFailure: z
    .enum(['stop', 'null'])
    .default('stop')
    .describe('after the last attempt: end the run, or leave the answer without a reward and count it'),
  samplesPerCall: z.int().positive().optional().describe('maximum answers per call (default: as the reward needs)'),
  cache: z
    .boolean()
    .optional()
    .describe('keep rewards by content, so that equal answers are scored once (default: for rewards that take time)'),
}

/** What a reward may use when it is opened. */
export interface RewardContext {
  /** Tokenizer of the policy. */
  tokenizer: Tokenizer
  /** The base of the policy in memory with its folder: an adapter on the same base is put on it, instead of loading the base again. */
  base?: { model: Model; folder: string }
  /** Device of models that are loaded (default: `cpu`). */
  device?: string
  /** Called with remarks about files, in sentences. */
  onNote?(line: string): void
  /** Opens models in forms that checkpoints do not have, such as a classical learner on features; undefined for other folders. */
  openFolder?(folder: string, options: { device?: string }): Promise<{ model: Model; baseFolder: string } | undefined>
}

/** A reward that was opened. */
export interface RewardScorer extends Pick<RewardFunction, 'score' | 'close' | 'usesModel'> {
  /** What determines the values beside the settings, such as a hash of the model's files. */
  identity?: string
}

/** A kind of reward, as `defineReward` takes it. */
export interface RewardDefinition<Schema extends z.ZodObject = z.ZodObject, Type extends string = string> {
  /** Name in recipes and flags, kebab-case. */
  readonly type: Type
  /** Publication, or the program whose rule it is. */
  readonly source: string
  /** One sentence for help and reports. */
  readonly summary: string
  /** Settings beside those that every reward has. */
  readonly config: Schema
  /** Limits where the settings leave them open. */
  readonly limits?: RewardLimits
  /** Whether rewards are cached by content unless the settings say otherwise: for those that take longer than the cache. */
  readonly cached?: boolean
  /** Whether it reads the turns of an environment, so that it has no meaning for answers of one turn. */
  readonly needsEnvironment?: boolean
  /** Whether it compares with the reference answer of the prompt, or with that of a column in its setting `column`. */
  readonly readsReference?: boolean
  /** @throws ConfigError, CheckpointError for what cannot be opened */
  open(config: z.output<Schema>, context: RewardContext): RewardScorer | Promise<RewardScorer>
}

/** Declares a reward; `registerReward` makes it known to recipes and flags. */
export const defineReward = <const Type extends string, Schema extends z.ZodObject>(
  definition: RewardDefinition<Schema, Type>,
): RewardDefinition<Schema, Type> => definition

/** A scorer from a function of one sample. */
export const scoreEach =
  (score: (sample: RewardSample) => number | null): ScoreFunction =>
  (samples) =>
    samples.map(score)
