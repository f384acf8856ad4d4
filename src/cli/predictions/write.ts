// `predict` of models that write: the answer of a specialist by the task it was taught, or of a chat model to a message. Knows no task.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { predictTask, type TaskDefinition, type TaskType, taskConfig, tasks } from '../../tasks/index.ts'
import type { ReadyModel } from '../parts/open-model.ts'
import { askingOptions, definePrediction, taughtOf } from './prediction.ts'

interface ChosenTask {
  task: TaskDefinition
  config: object
  maxLength?: number
}

const chosenTask = async (ready: ReadyModel): Promise<ChosenTask> => {
  const { tokenizer } = ready
  const taught = await taughtOf(ready)
  if (taught !== undefined && !Object.hasOwn(tasks, taught.task))
    throw new ConfigError(
      `Expected a task of ${Object.keys(tasks).join(', ')} in task.json, got "${taught.task}". Was it taught by a newer version?`,
    )
  if (taught === undefined && tokenizer.chatTemplate === undefined)
    throw new ConfigError(
      'Expected a specialist or a chat model for `predict`, got a model that only goes on with text. Use `generate`.',
    )
  const task = tasks[(taught?.task ?? 'instructions') as TaskType] as unknown as TaskDefinition
  return { task, config: taskConfig(task, taught?.settings), maxLength: taught?.maxLength }
}

export interface WrittenAnswer {
  text: string
  answer: string
  /** Whether the model stopped by itself. */
  ended: boolean
}

export const write = definePrediction({
  options: z.strictObject({
    ...askingOptions,
    maxNewTokens: z.int().positive().optional().describe("most tokens of an answer; the task's own unless given"),
  }),
  async predict(ready, text, { maxNewTokens, maxLength }): Promise<WrittenAnswer> {
    const { model, tokenizer } = ready
    const { task, config, maxLength: taughtLength } = await chosenTask(ready)
    const settings = maxNewTokens === undefined ? config : { ...config, maxNewTokens }
    const records = [task.ask({ text }, '0', settings)]
    const { predictions } = await predictTask(model, tokenizer, task, records, settings, {
      maxLength: maxLength ?? taughtLength,
    })
    const { answer = '', ended = false } = predictions[0] as { answer?: string; ended?: boolean }
    return { text, answer, ended }
  },
  render: ({ text, answer, ended }) => `${text}\n  ${answer.replaceAll('\n', '\n  ')}${ended ? '' : ' …'}`,
})
