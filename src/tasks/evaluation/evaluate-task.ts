// Predictions of a model for the records of a task, and their scores. Independent of single tasks and architectures.
import { z } from 'zod'
import { ConfigError, parseConfig } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import { contextLength, type Model } from '../../models/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { expectPositions } from '../learning/max-length.ts'
import { bootstrapFields } from '../metrics/bootstrap.ts'
import { type ScoreIntervals, scoreIntervals } from '../metrics/resampling.ts'
import type { Scores } from '../metrics/scored-units.ts'
import type { TaskDefinition, TaskExample, TaskPrediction, TaskRecord } from '../task.ts'
import { predictByGeneration } from './predict-by-generation.ts'
import { predictFromLogits } from './predict-from-logits.ts'

/** Settings of `predictTask` and `evaluateTask`. */
export const evaluateTaskSchema = z.strictObject({
  maxLength: z
    .int()
    .positive()
    .optional()
    .describe(
      "maximum tokens per example (default: as in fine-tuning, else the model's limit, up to 512 or the task's own limit)",
    ),
  answers: z
    .int()
    .nonnegative()
    .optional()
    .describe(
      'generative tasks: generate answers for the first N records only, and score the perplexity of all (default: all)',
    ),
  batchTokens: z.int().positive().default(4096).describe('tokens per batch, padding included'),
  ...bootstrapFields,
})
/** Settings of `predictTask` and `evaluateTask`, as given. */
export type EvaluateTaskSettings = z.input<typeof evaluateTaskSchema>

/** Progress, cancellation and division of predictions. */
export interface TaskHooks {
  /** Called after each batch. */
  onProgress?(done: { examples: number; of: number }): void
  signal?: AbortSignal
  /** The processes that divide the work; all get all predictions. */
  group?: ProcessGroup | undefined
}

/** Predictions, and what happened on the way. */
export interface PredictionResult<Prediction extends TaskPrediction = TaskPrediction> {
  /** In the order of the records. */
  predictions: Prediction[]
  /** Examples that went through the model: records, or their windows. */
  examples: number
  /** Records that an answer was generated for, the first ones; scores of answers are over those. Undefined for other tasks. */
  answered?: number
  tokens: number
  /** Tokens that were truncated because a record was too long. */
  truncatedTokens: number
  truncatedRecords: number
  /** Seconds of encoding, forward passes and decoding. */
  seconds: number
}

/** Predictions with their scores. */
export interface TaskResult<Prediction extends TaskPrediction = TaskPrediction> extends PredictionResult<Prediction> {
  metrics: ScoreIntervals
  /** The metric that checkpoints are chosen by. */
  mainMetric: string
  /** Results that are more than a number, such as a confusion matrix. */
  details: { [name: string]: unknown }
}

/** Default for the maximum tokens per example: the limits of model and tokenizer, up to 512 or the task's own. */
export const taskMaxLength = (
  model: Pick<Model, 'facts' | 'config'>,
  { maxLength }: Pick<Tokenizer, 'maxLength'>,
  { maxLength: most = 512 }: Pick<TaskDefinition, 'maxLength'> = {},
): number => Math.min(contextLength(model) ?? most, maxLength ?? most, most)

/**
 * The predictions of a model for records, in their order.
 * @throws ConfigError for a model with another head, DataError for a record that cannot be encoded
 */
export const predictTask = async <
  Config extends object,
  Record extends TaskRecord,
  Example extends TaskExample,
  Prediction extends TaskPrediction,
>(
  model: Model,
  tokenizer: Tokenizer,
  task: TaskDefinition<Config, Record, Example, Prediction>,
  records: readonly Record[],
  config: Config,
  options: EvaluateTaskSettings & TaskHooks = {},
): Promise<PredictionResult<Prediction>> => {
  const { onProgress, signal, group, ...settings } = options
  const {
    batchTokens,
    answers = records.length,
    maxLength = model.headOptions.maxTokens ?? taskMaxLength(model, tokenizer, task),
  } = parseConfig(evaluateTaskSchema, settings, 'settings')
  if (![task.head].flat().includes(model.headType))
    throw new ConfigError(
      `Expected a model with the head ${[task.head].flat().join(' or ')} for ${task.type}, got ${model.headType}. Load the model with that head.`,
    )
  const started = performance.now()
  const { headOptions, facts } = model
  if (settings.maxLength !== undefined) expectPositions(model.facts, settings.maxLength)
  const prepared = task.prepare(tokenizer, config, { maxLength, headOptions, facts })
  const wasTraining = model.training
  model.eval()
  try {
    const how = { batchTokens, onProgress, signal, group }
    const { truncated, ...predicted } = await (prepared.generation === undefined
      ? predictFromLogits(model, prepared, records, how)
      : predictByGeneration(model, tokenizer, prepared, records, { ...how, answers }))
    return {
      ...predicted,
      truncatedTokens: truncated.reduce((sum, tokens) => sum + tokens, 0),
      truncatedRecords: truncated.filter((tokens) => tokens > 0).length,
      seconds: (performance.now() - started) / 1000,
    }
  } finally {
    if (wasTraining) model.train()
  }
}

/** Predictions with their scores and confidence intervals. The same arguments give the same numbers. */
export const evaluateTask = async <
  Config extends object,
  Record extends TaskRecord,
  Example extends TaskExample,
  Prediction extends TaskPrediction,
>(
  model: Model,
  tokenizer: Tokenizer,
  task: TaskDefinition<Config, Record, Example, Prediction>,
  records: readonly Record[],
  config: Config,
  options: EvaluateTaskSettings & TaskHooks = {},
): Promise<TaskResult<Prediction>> => {
  const result = await predictTask(model, tokenizer, task, records, config, options)
  const scored = task.score(records, result.predictions, config, model.headOptions.labels)
  const { seed, resamples, confidence } = options
  return {
    ...result,
    metrics: scoreIntervals(scored, { seed, resamples, confidence }),
    mainMetric: task.mainMetric(config),
    details: scored.details(),
  }
}

/** The values of the metrics, without their intervals. The main one is first: tables and charts show the first one as the score. */
export const scoresOf = ({
  metrics,
  mainMetric,
}: Pick<TaskResult, 'metrics'> & Partial<Pick<TaskResult, 'mainMetric'>>): Scores => {
  const names = Object.keys(metrics).sort((a, b) => Number(b === mainMetric) - Number(a === mainMetric))
  return Object.fromEntries(names.map((name) => [name, metrics[name].value]))
}
