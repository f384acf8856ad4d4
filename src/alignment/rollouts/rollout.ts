// The data of a rollout: prompts and their order, the answers that the policy wrote to them, what was measured on each answer, and the
// settings. Plain numbers.

import { z } from 'zod'
import { createRandom, DataError, permutedIndex } from '../../core/index.ts'
import type { FinishReason } from '../../generation/index.ts'
import type { PromptRecord } from '../../tasks/index.ts'
import type { Episode } from '../environments/index.ts'

/** A prompt that rollouts answer. */
export interface RolloutPrompt {
  record: PromptRecord
  ids: readonly number[]
  /** Tokens that end an answer. */
  endTokens: readonly number[]
}

/** The turns of an answer that was written with an environment. */
export type AnswerEpisode = Pick<Episode, 'prompt' | 'messages' | 'completion' | 'reward' | 'turns' | 'end' | 'failure'>

/** An answer of the policy to a prompt. Lists of tokens have one entry per token of `ids`, unless they say otherwise. */
export interface RolloutAnswer {
  /** Index of the prompt in the data. */
  prompt: number
  /** Number of its group: the answers to one prompt. */
  group: number
  /** Number within the group, from 0. */
  member: number
  /** The prompt as the policy read it, where an environment began with another one than the data has. */
  promptIds?: Uint32Array
  /** Turns with an environment. Checkpoints leave them out: nothing is learned from them that is not in the other fields. */
  episode?: AnswerEpisode
  /** Tokens after the prompt, the end token included. */
  ids: Uint32Array
  /** 1 for tokens that the policy chose, 0 for others, such as the output of a tool. */
  mask: Uint8Array
  finishReason: FinishReason
  /** Log-probabilities of the tokens as they were sampled. */
  logProbs: Float32Array
  /** Log-probabilities under the reference model; undefined without one. */
  reference?: Float32Array
  /** Log-probabilities by the forward pass of training before the first update; undefined where they were not computed. */
  trained?: Float32Array
  /** The critic's value of the text before each token, and of the whole text; undefined without a critic. */
  values?: Float32Array
  /** Entropy of the distribution that each token was sampled from, in nats; undefined if it was not measured. */
  entropy?: Float32Array
  /** By reward function; null where a function could not score it. */
  rewards: (number | null)[]
  /** Weighted sum of the rewards; null where no function scored the answer. */
  reward: number | null
  /** Reward of the greedy answer to the same prompt; undefined where none was asked for. */
  greedy?: number | null
}

/** The answers to one prompt. */
export type RolloutGroup = readonly RolloutAnswer[]

/** The prompt of an answer as the policy read it. */
export const promptIdsOf = (
  prompt: Pick<RolloutPrompt, 'ids'>,
  { promptIds }: Pick<RolloutAnswer, 'promptIds'>,
): ArrayLike<number> => promptIds ?? prompt.ids

/** The text of an answer: of an episode, the last turn of the model. */
export const answerText = (
  { ids, episode }: Pick<RolloutAnswer, 'ids' | 'episode'>,
  decode: (ids: ArrayLike<number>) => string,
): string => episode?.completion ?? decode(ids)

/** Whether the policy ended the answer itself. */
export const isFinished = ({ finishReason }: Pick<RolloutAnswer, 'finishReason'>): boolean =>
  finishReason === 'eos' || finishReason === 'stop'

/**
 * Whether the rewards of a group differ. Answers without a reward do not count. Equality is exact: a standard deviation of equal rewards
 * may be a rounding error above 0.
 */
export const hasVariance = (group: RolloutGroup): boolean => {
  const rewards = group.flatMap(({ reward }) => (reward === null ? [] : [reward]))
  return rewards.some((reward) => reward !== rewards[0])
}

const count = () => z.int().positive()

/** The schema of the settings of rollouts. */
export const rolloutSchema = z.strictObject({
  prompts: count().default(16).describe('prompts per rollout'),
  answers: count().optional().describe("answers per prompt, which advantages compare (default: the objective's)"),
  maxNewTokens: count().default(256).describe('maximum tokens of an answer'),
  temperature: z
    .number()
    .positive()
    .default(1)
    .describe('sampling temperature; it also divides the logits in training'),
  epochs: count().optional().describe("epochs over the answers of each rollout (default: the objective's)"),
  rounds: count()
    .optional()
    .describe(
      "rounds of sampling to fill a rollout with groups whose rewards differ (dynamic sampling); from 2 on, others are left out (default: the objective's)",
    ),
  concurrency: count().default(32).describe('answers decoded at once'),
  exact: z
    .boolean()
    .optional()
    .describe(
      'the same log-probabilities, to the bit, in sampling and training; needs float32 weights on a CPU, where it is the default',
    ),
  measureKl: z
    .boolean()
    .default(true)
    .describe('measure the KL divergence from the base or teacher, also if not needed'),
  keep: z.boolean().default(true).describe('write every answer to rollouts/ in the folder of the run (Parquet)'),
})

/** Checked settings of rollouts. */
export type RolloutSettings = z.output<typeof rolloutSchema>

/** Settings of rollouts with those of the objective filled in. */
export type ResolvedRollout = RolloutSettings &
  Required<Pick<RolloutSettings, 'answers' | 'epochs' | 'rounds' | 'exact'>>

/** Prompts by a cursor that counts them over all epochs. */
interface PromptOrder {
  readonly count: number
  /** Index of the prompt at a cursor. */
  at(cursor: number): number
  /** Random seed of the answers to the prompt at a cursor: no other prompt or cursor has it. */
  seedAt(cursor: number): number
}

/** @throws DataError without prompts */
export const promptOrder = (count: number, seed: number): PromptOrder => {
  if (count === 0) throw new DataError('Expected at least one prompt to answer, got none. Check the data.')
  return {
    count,
    at: (cursor) => permutedIndex(`${seed}/prompts/${Math.floor(cursor / count)}`, count, cursor % count),
    seedAt: (cursor) => createRandom(`${seed}/answers/${cursor}`).integer(2 ** 47),
  }
}
