// Predictions of reward models: how good an answer is, alone or in its conversation.
import { z } from 'zod'
import { type RewardPrediction, type TaskDefinition, tasks } from '../../tasks/index.ts'
import type { InferenceModel } from '../load.ts'
import { definePrediction, taskPredictionOptions } from './prediction.ts'
import { predictFields, type TaskChoice } from './task-predictions.ts'

/** An answer to score: alone as text, after a prompt, or at the end of a conversation. */
export type RewardInput =
  | string
  | { prompt: string; completion: string }
  | { messages: readonly { role: string; content: string }[]; completion?: string }

/** How good an answer is. */
export interface Reward {
  /** On the scale of the model, if it has one: 0 is as good as the mean of good answers, 1 a standard deviation better. */
  reward: number
  /** As the head gives it; differences of two are log odds. */
  logit: number
}

/** The task of a reward head. */
// The registry gives a task with its own types, and generic code uses it without them.
export const rewardTask = (): TaskChoice => ({ task: tasks.reward as unknown as TaskDefinition })

/** The reward of each answer, in order. @throws ConfigError for an input without an answer */
export const rewardsOf = async (
  loaded: InferenceModel,
  inputs: readonly RewardInput[],
  options: { maxLength?: number; signal?: AbortSignal } = {},
): Promise<Reward[]> => {
  const fields = inputs.map((input) => (typeof input === 'string' ? { text: input } : { ...input }))
  const predictions = await predictFields(loaded, rewardTask(), fields, options)
  return predictions.map(({ prediction }) => {
    // The fields of a reward prediction: generic code has every task as one type, without its own predictions.
    const { rewards, logits = rewards } = prediction as unknown as RewardPrediction
    return { reward: rewards[0], logit: logits[0] }
  })
}

export const rewardPrediction = definePrediction({
  options: z.strictObject(taskPredictionOptions),
  async predict(loaded, text, options) {
    const [reward] = await rewardsOf(loaded, [text], options)
    return { text, ...reward }
  },
  render: ({ text, reward }: { text: string; reward: number }) => `${text}\n  reward ${reward}`,
})
