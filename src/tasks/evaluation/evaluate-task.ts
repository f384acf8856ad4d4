// A model at work on a task: predictions of records and how good they are. Knows no task and no architecture.
import { z } from 'zod'
import { ConfigError, parseConfig } from '../../core/index.ts'
import { contextLength, type Model } from '../../models/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { expectPositions } from '../learning/max-length.ts'
import { type ScoreIntervals, scoreIntervals } from '../metrics/resampling.ts'
import type { Scores } from '../metrics/scored-units.ts'
import type { TaskDefinition, TaskExample, TaskPrediction, TaskRecord } from '../task.ts'
import { predictByGeneration } from './predict-by-generation.ts'
import { predictFromLogits } from './predict-from-logits.ts'

export const evaluateTaskSchema = z.strictObject({
  maxLength: z
    .int()
    .positive()
    .optional()
    .describe(
      'most tokens of an example; what the model and its tokenizer allow, up to 512 or what the task says, unless given',
    ),
  answers: z
    .int()
    .nonnegative()
    .optional()
    .describe('tasks that write: the first so many records are answered, the others only weighed; all unless given'),
  batchTokens: z.int().positive().default(4096).describe('tokens in a batch, padding included'),
  seed: z.union([z.int(), z.string()]).default(0).describe('of the intervals'),
  resamples: z.int().positive().default(1000).describe('draws of the bootstrap behind the intervals'),
  confidence: z.number().gt(0).lt(1).default(0.95).describe('of the intervals'),
})
export type EvaluateTaskSettings = z.input<typeof evaluateTaskSchema>

export interface TaskHooks {
  /** Called after each batch. */
  onProgress?(done: { examples: number; of: number }): void
  signal?: AbortSignal
}

export interface PredictionResult<Prediction extends TaskPrediction = TaskPrediction> {
  /** In the order of the records. */
  predictions: Prediction[]
  examples: number
  /** Records that an answer was written to, the first ones; the scores of answers are over those. Undefined where a task writes none. */
  answered?: number
  tokens: number
  /** Tokens that were cut off because a record was too long. */
  truncatedTokens: number
  truncatedRecords: number
  /** Encoding, the model and decoding. */
  seconds: number
}

export interface TaskResult<Prediction extends TaskPrediction = TaskPrediction> extends PredictionResult<Prediction> {
  metrics: ScoreIntervals
  /** The metric that checkpoints are chosen by. */
  mainMetric: string
  /** What is more than a number, such as a confusion matrix. */
  details: { [name: string]: unknown }
}

/** The most tokens that model and tokenizer take, up to 512 or what the task says. */
export const taskMaxLength = (
  model: Pick<Model, 'facts' | 'config'>,
  { maxLength }: Pick<Tokenizer, 'maxLength'>,
  { maxLength: most = 512 }: Pick<TaskDefinition, 'maxLength'> = {},
): number => Math.min(contextLength(model) ?? most, maxLength ?? most, most)

/** @throws ConfigError for a model with another head, DataError for a record that cannot be asked */
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
  const { onProgress, signal, ...settings } = options
  const {
    batchTokens,
    answers = records.length,
    maxLength = model.headOptions.maxTokens ?? taskMaxLength(model, tokenizer, task),
  } = parseConfig(evaluateTaskSchema, settings, 'settings')
  if (![task.head].flat().includes(model.headType))
    throw new ConfigError(
      `Expected a model with the head ${[task.head].flat().join(' or ')} for ${task.type}, got ${model.headType}. Load it with that head.`,
    )
  const started = performance.now()
  const { headOptions, facts } = model
  if (settings.maxLength !== undefined) expectPositions(model.facts, settings.maxLength)
  const prepared = task.prepare(tokenizer, config, { maxLength, headOptions, facts })
  const wasTraining = model.training
  model.eval()
  try {
    const { cuts, ...predicted } =
      prepared.generation === undefined
        ? await predictFromLogits(model, prepared, records, { batchTokens, onProgress, signal })
        : await predictByGeneration(model, tokenizer, prepared, records, { batchTokens, answers, onProgress, signal })
    return {
      ...predicted,
      truncatedTokens: cuts.reduce((sum, cut) => sum + cut, 0),
      truncatedRecords: cuts.filter((cut) => cut > 0).length,
      seconds: (performance.now() - started) / 1000,
    }
  } finally {
    if (wasTraining) model.train()
  }
}

/** Predictions with their scores and how sure those are. The same arguments give the same numbers. */
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
  const judgement = task.score(records, result.predictions, config, model.headOptions.labels)
  const { seed, resamples, confidence } = options
  return {
    ...result,
    metrics: scoreIntervals(judgement, { seed, resamples, confidence }),
    mainMetric: task.mainMetric(config),
    details: judgement.details(),
  }
}

/** Scores alone, without intervals. */
export const scoresOf = (result: Pick<TaskResult, 'metrics'>): Scores =>
  Object.fromEntries(Object.entries(result.metrics).map(([name, { value }]) => [name, value]))
