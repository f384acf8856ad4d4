// Predictions of models with a task's head, such as classes or tags: the task of the specialist, applied to one text.
import { z } from 'zod'
import { formatCount } from '../../core/index.ts'
import type { HeadOptions, HeadType } from '../../models/index.ts'
import type { SpecialistTask } from '../../runs/index.ts'
import {
  findTask,
  predictTask,
  type TaskDefinition,
  type TaskPrediction,
  taskConfig,
  tasks,
  taskTypes,
} from '../../tasks/index.ts'
import { defaultMaxLength } from '../../tokenizers/index.ts'
import type { InferenceModel } from '../load.ts'
import { definePrediction, recordedTask, taskPredictionOptions } from './prediction.ts'

/** A task with the settings that a head implies. */
export interface TaskChoice {
  task: TaskDefinition
  settings?: Record<string, unknown>
}

/** A task of the registry without its own types, as generic code uses it. */
const anyTask = (task: unknown) => task as TaskDefinition

const byProblemType: Record<HeadOptions['problemType'], TaskChoice> = {
  'single-label': { task: anyTask(tasks['sequence-classification']) },
  'multi-label': { task: anyTask(tasks['sequence-classification']), settings: { multiLabel: true } },
  regression: { task: anyTask(tasks.regression) },
}

/** The task of a classification or regression head. */
export const classificationTask = ({ problemType }: HeadOptions): TaskChoice => byProblemType[problemType]
/** The task of a token classification head. */
export const taggingTask = (): TaskChoice => ({ task: anyTask(tasks['token-classification']) })
/** The task of a question answering head. */
export const spanTask = (): TaskChoice => ({ task: anyTask(tasks['extractive-qa']) })

/** The recorded task of a specialist, which a package may have registered, or else the task that the head implies. */
const taskFor = (headType: HeadType, implied: TaskChoice, recorded: SpecialistTask | undefined): TaskChoice => {
  if (recorded === undefined || recorded.task === implied.task.type || !taskTypes().includes(recorded.task))
    return implied
  const task = findTask(recorded.task)
  return [task.head].flat().includes(headType) ? { task } : implied
}

/** One prediction, with the parts of the text it refers to where the task has such, such as the words that were tagged. */
export interface TaskTextPrediction {
  prediction: TaskPrediction & { [field: string]: unknown }
  parts: { tokens?: readonly string[] }
  /** Tokens of the input that the model did not read, since it was too long. */
  truncatedTokens: number
}

const choose = async (loaded: InferenceModel, implied: TaskChoice) => {
  const recorded = await recordedTask(loaded)
  const { task, settings } = taskFor(loaded.model.headType, implied, recorded)
  return { task, settings, own: recorded?.task === task.type ? recorded : undefined }
}

/** Maximum tokens of an input that a task's model reads: as in fine-tuning, else the task's or the tokenizer's own. */
export const maxInputTokens = async (loaded: InferenceModel, implied: TaskChoice): Promise<number> => {
  const { task, own } = await choose(loaded, implied)
  const { maxPositions = Number.POSITIVE_INFINITY } = loaded.model.facts
  return Math.min(own?.maxLength ?? task.maxLength ?? defaultMaxLength(loaded.tokenizer), maxPositions)
}

/**
 * Predictions of a task's model for inputs given as fields (`text`, or `question` and `context`), with the settings and the maximum
 * length that the specialist was fine-tuned with.
 * @throws ConfigError for a field that is missing
 */
export const predictFields = async (
  loaded: InferenceModel,
  implied: TaskChoice,
  inputs: readonly { [field: string]: unknown }[],
  { maxLength, signal }: { maxLength?: number; signal?: AbortSignal } = {},
): Promise<TaskTextPrediction[]> => {
  const { model, tokenizer } = loaded
  const { task, settings, own } = await choose(loaded, implied)
  const config = taskConfig(task, settings, undefined, own?.settings)
  const records = inputs.map((fields, i) => task.recordFromInput(fields, String(i), config))
  const length = maxLength ?? own?.maxLength
  const options = { maxLength: length, signal }
  const { predictions, truncated } = await predictTask(model, tokenizer, task, records, config, options)
  return predictions.map((prediction, i) => ({
    prediction: prediction as TaskTextPrediction['prediction'],
    parts: task.alignedInputs?.(records[i]) ?? {},
    truncatedTokens: truncated[i],
  }))
}

const shownLabels = 5

/**
 * `label positive (positive 93.1 %, negative 6.9 %)`, or for tags `tags Paris/B-location is/O`: the prediction, then the most likely
 * alternatives.
 */
const renderPrediction = (
  { probabilities, ...fields }: { [name: string]: unknown },
  parts?: readonly string[],
): string => {
  const listed = (values: readonly unknown[]) =>
    parts?.length === values.length ? values.map((value, i) => `${parts[i]}/${value}`) : values
  const shown = Object.entries(fields).map(
    ([name, value]) => `${name} ${Array.isArray(value) ? listed(value).join(' ') : value}`,
  )
  const alternatives = Object.entries((probabilities ?? {}) as { [label: string]: number })
    .sort(([, a], [, b]) => b - a)
    .slice(0, shownLabels)
    .map(([label, share]) => `${label} ${(100 * share).toFixed(1)} %`)
  return `${shown.join(', ')}${alternatives.length === 0 ? '' : ` (${alternatives.join(', ')})`}`
}

/** What a rendered prediction says of a text that was too long. */
export const truncationNote = (what: string, tokens = 0): string =>
  tokens === 0
    ? ''
    : `\n  The end of the ${what}, ${formatCount(tokens)} ${tokens === 1 ? 'token' : 'tokens'}, was truncated.`

interface TextPrediction {
  text: string
  tokens?: readonly string[]
  /** Absent where the whole text was read. */
  truncatedTokens?: number
}

const taskPrediction = (choose: (options: HeadOptions) => TaskChoice) =>
  definePrediction({
    options: z.strictObject(taskPredictionOptions),
    async predict(loaded, text, options) {
      const [{ prediction, parts, truncatedTokens }] = await predictFields(
        loaded,
        choose(loaded.model.headOptions),
        [{ text }],
        options,
      )
      const { id: _, ...fields } = prediction
      return { text, ...parts, ...fields, ...(truncatedTokens === 0 ? {} : { truncatedTokens }) }
    },
    render: ({ text, tokens, truncatedTokens, ...fields }: TextPrediction) =>
      `${text}\n  ${renderPrediction(fields, tokens)}${truncationNote('text', truncatedTokens)}`,
  })

export const classPrediction = taskPrediction(classificationTask)
export const tagPrediction = taskPrediction(taggingTask)
