// Predictions of generative specialists and chat models: the answer that the model writes to a text.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { findTask, predictTask, type TaskDefinition, taskConfig, taskTypes } from '../../tasks/index.ts'
import type { InferenceModel } from '../load.ts'
import { definePrediction, recordedTask, taskPredictionOptions } from './prediction.ts'

interface ChosenTask {
  task: TaskDefinition
  config: object
  maxLength?: number
}

const chosenTask = async (loaded: InferenceModel): Promise<ChosenTask> => {
  const { tokenizer } = loaded
  const recorded = await recordedTask(loaded)
  if (recorded !== undefined && !taskTypes().includes(recorded.task))
    throw new ConfigError(
      `Expected one of the tasks ${taskTypes().join(', ')} in task.json, got "${recorded.task}". Update Tunesmith, or register the task with \`use\`.`,
    )
  if (recorded === undefined && tokenizer.chatTemplate === undefined)
    throw new ConfigError(
      'Expected a specialist or a chat model, got a language model without either a task or a chat template. Use `generate`.',
    )
  const task = findTask(recorded?.task ?? 'instructions')
  return { task, config: taskConfig(task, recorded?.settings), maxLength: recorded?.maxLength }
}

/** A written answer. */
export interface AnswerPrediction {
  text: string
  answer: string
  /** Whether the model ended the answer itself, rather than reaching the maximum length. */
  ended: boolean
}

/**
 * The answers of a generative specialist (by the task it was fine-tuned on) or of a chat model to inputs given as fields.
 * @throws ConfigError for a model that is neither, or a field that is missing
 */
export const generateAnswers = async (
  loaded: InferenceModel,
  inputs: readonly { [field: string]: unknown }[],
  { maxNewTokens, maxLength, signal }: { maxNewTokens?: number; maxLength?: number; signal?: AbortSignal } = {},
): Promise<Omit<AnswerPrediction, 'text'>[]> => {
  const { model, tokenizer } = loaded
  const { task, config, maxLength: ownLength } = await chosenTask(loaded)
  const settings = maxNewTokens === undefined ? config : { ...config, maxNewTokens }
  const records = inputs.map((fields, i) => task.recordFromInput(fields, String(i), settings))
  const { predictions } = await predictTask(model, tokenizer, task, records, settings, {
    maxLength: maxLength ?? ownLength,
    signal,
  })
  return predictions.map((prediction) => {
    const { answer = '', ended = false } = prediction as { answer?: string; ended?: boolean }
    return { answer, ended }
  })
}

export const answerPrediction = definePrediction({
  options: z.strictObject({
    ...taskPredictionOptions,
    maxNewTokens: z.int().positive().optional().describe("maximum new tokens per answer (default: the task's own)"),
  }),
  async predict(loaded, text, options): Promise<AnswerPrediction> {
    const [answer] = await generateAnswers(loaded, [{ text }], options)
    return { text, ...answer }
  },
  render: ({ text, answer, ended }: AnswerPrediction) =>
    `${text}\n  ${answer.replaceAll('\n', '\n  ')}${ended ? '' : ' …'}`,
})
