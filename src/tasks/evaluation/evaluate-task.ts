// Predictions of a model for the records of a task, and their scores. Independent of single tasks and architectures.

import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { ConfigError, parseConfig } from '../../core/index.ts'
import { contextLength, type Model } from '../../models/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { expectPositions } from '../learning/batches.ts'
import { bootstrapFields } from '../metrics/bootstrap.ts'
import { type ScoreIntervals, scoreIntervalsByTurns, scoresWithoutIntervals } from '../metrics/resampling.ts'
import type { ScoredUnits, Scores } from '../metrics/scored-units.ts'
import { chunkRecords, type RecordSource, recordsInMemory } from '../records/record-source.ts'
import type { TaskDefinition, TaskExample, TaskPrediction, TaskRecord, WorkHooks } from '../task.ts'
import { predictByGeneration } from './predict-by-generation.ts'
import { type PredictOptions, predictFromLogits } from './predict-from-logits.ts'

/** Takes a record with its prediction, in the order of the records. */
type TakePrediction<Record extends TaskRecord, Prediction extends TaskPrediction> = (
  record: Record,
  prediction: Prediction,
  truncatedTokens: number,
) => void

/** Predictions taken before others may work. */
const turnRecords = 64

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
export interface TaskHooks extends WorkHooks {
  /** Called after each batch. */
  onProgress?(done: { examples: number; of: number }): void
}

interface PredictionSummary {
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

/** Predictions, and what happened on the way. */
export interface PredictionResult<Prediction extends TaskPrediction = TaskPrediction> extends PredictionSummary {
  /** In the order of the records. */
  predictions: Prediction[]
}

interface ReadPredictions<Prediction extends TaskPrediction> extends PredictionResult<Prediction> {
  /** Tokens of each record that were truncated, in the order of the records. */
  truncated: number[]
}

/** Scores of predictions. */
export interface TaskSummary extends PredictionSummary {
  metrics: ScoreIntervals
  /** The metric that checkpoints are chosen by. */
  mainMetric: string
  /** Results that are more than a number, such as a confusion matrix. */
  details: { [name: string]: unknown }
}

/** Predictions with their scores. */
export interface TaskResult<Prediction extends TaskPrediction = TaskPrediction>
  extends TaskSummary,
    PredictionResult<Prediction> {}

/** Default for the maximum tokens per example: the limits of model and tokenizer, up to 512 or the task's own. */
export const taskMaxLength = (
  model: Pick<Model, 'facts' | 'config'>,
  { maxLength }: Pick<Tokenizer, 'maxLength'>,
  { maxLength: most = 512 }: Pick<TaskDefinition, 'maxLength'> = {},
): number => Math.min(contextLength(model) ?? most, maxLength ?? most, most)

/**
 * Predicts records of any number chunk by chunk, and hands each prediction over with its record, in their order: only a chunk is encoded, and
 * only its predictions are kept until they are taken.
 * @throws ConfigError for a model with another head, DataError for a record that cannot be encoded
 */
const predictRecords = async <Config extends object, Record extends TaskRecord, Prediction extends TaskPrediction>(
  model: Model,
  tokenizer: Tokenizer,
  task: TaskDefinition<Config, Record, TaskExample, Prediction>,
  records: RecordSource<Record>,
  config: Config,
  options: EvaluateTaskSettings & TaskHooks & { chunk?: number },
  take: TakePrediction<Record, Prediction>,
): Promise<PredictionSummary> => {
  const { onProgress, signal, group, chunk: size = chunkRecords, ...settings } = options
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
  const sums = { examples: 0, tokens: 0, truncatedTokens: 0, truncatedRecords: 0 }
  let answered: number | undefined
  let first = 0
  const wasTraining = model.training
  model.eval()
  try {
    for await (const chunk of records.chunks(size)) {
      const left = records.length - first - chunk.length
      const how: PredictOptions = {
        batchTokens,
        signal,
        group,
        // The examples of later chunks are not known yet: one for each record.
        onProgress: (done) =>
          onProgress?.({ examples: sums.examples + done.examples, of: sums.examples + done.of + left }),
      }
      const part =
        prepared.generation === undefined
          ? await predictFromLogits(model, prepared, chunk, how)
          : await predictByGeneration(model, tokenizer, prepared, chunk, {
              ...how,
              first,
              answers: Math.max(0, answers - first),
            })
      for (const [i, record] of chunk.entries()) {
        if (i % turnRecords === turnRecords - 1) await setImmediate()
        take(record, part.predictions[i], part.truncated[i])
      }
      for (const tokens of part.truncated) {
        sums.truncatedTokens += tokens
        if (tokens > 0) sums.truncatedRecords++
      }
      sums.examples += part.examples
      sums.tokens += part.tokens
      if (part.answered !== undefined) answered = (answered ?? 0) + part.answered
      first += chunk.length
    }
  } finally {
    if (wasTraining) model.train()
  }
  const { examples, ...others } = sums
  const seconds = (performance.now() - started) / 1000
  return { examples, ...(answered === undefined ? {} : { answered }), ...others, seconds }
}

/**
 * The predictions of a model for records, in their order.
 * @throws ConfigError for a model with another head, DataError for a record that cannot be encoded
 */
export const predictTask = async <Config extends object, Record extends TaskRecord, Prediction extends TaskPrediction>(
  model: Model,
  tokenizer: Tokenizer,
  task: TaskDefinition<Config, Record, TaskExample, Prediction>,
  records: readonly Record[],
  config: Config,
  options: EvaluateTaskSettings & TaskHooks = {},
): Promise<ReadPredictions<Prediction>> => {
  const predictions: Prediction[] = []
  const truncated: number[] = []
  const source = recordsInMemory(records)
  const summary = await predictRecords(model, tokenizer, task, source, config, options, (_, prediction, tokens) => {
    predictions.push(prediction)
    truncated.push(tokens)
  })
  return { predictions, truncated, ...summary }
}

/** Scores without predictions, and what they show. */
export interface EvaluatedRecords {
  result: TaskSummary
  /** Sentences about predictions that show that the model learned nothing. */
  warnings: string[]
}

/**
 * Scores of a model on records of any number. The same arguments give the same numbers.
 * @param options.chunk records that are worked on at once (default: 16,384)
 * @param options.intervals whether scores have confidence intervals, which take time (default: true)
 * @param take gets each prediction with its record, in their order
 */
export const evaluateRecords = async <
  Config extends object,
  Record extends TaskRecord,
  Prediction extends TaskPrediction,
>(
  model: Model,
  tokenizer: Tokenizer,
  task: TaskDefinition<Config, Record, TaskExample, Prediction>,
  records: RecordSource<Record>,
  config: Config,
  { intervals = true, ...options }: EvaluateTaskSettings & TaskHooks & { chunk?: number; intervals?: boolean } = {},
  take: TakePrediction<Record, Prediction> = () => {},
): Promise<EvaluatedRecords> => {
  const scorer = task.scorer(config, model.headOptions.labels)
  const summary = await predictRecords(
    model,
    tokenizer,
    task,
    records,
    config,
    options,
    (record, prediction, tokens) => {
      scorer.add(record, prediction)
      take(record, prediction, tokens)
    },
  )
  const scored = scorer.units()
  const { seed, resamples, confidence, signal } = options
  return {
    result: {
      ...summary,
      metrics: intervals
        ? await scoreIntervalsByTurns(scored, { seed, resamples, confidence }, signal)
        : scoresWithoutIntervals(scored),
      mainMetric: task.mainMetric(config),
      details: scored.details(),
    },
    warnings: scorer.warnings?.() ?? [],
  }
}

/** Predictions with their scores and confidence intervals. The same arguments give the same numbers. */
export const evaluateTask = async <Config extends object, Record extends TaskRecord, Prediction extends TaskPrediction>(
  model: Model,
  tokenizer: Tokenizer,
  task: TaskDefinition<Config, Record, TaskExample, Prediction>,
  records: readonly Record[],
  config: Config,
  options: EvaluateTaskSettings & TaskHooks = {},
): Promise<TaskResult<Prediction>> => {
  const predictions: Prediction[] = []
  const source = recordsInMemory(records)
  const { result } = await evaluateRecords(model, tokenizer, task, source, config, options, (_, prediction) => {
    predictions.push(prediction)
  })
  return { predictions, ...result }
}

/** The values of the metrics, without their intervals. The main one is first: tables and charts show the first one as the score. */
export const scoresOf = ({
  metrics,
  mainMetric,
}: Pick<TaskResult, 'metrics'> & Partial<Pick<TaskResult, 'mainMetric'>>): Scores => {
  const names = Object.keys(metrics).sort((a, b) => Number(b === mainMetric) - Number(a === mainMetric))
  return Object.fromEntries(names.map((name) => [name, metrics[name].value]))
}

/** Scores predictions that are in the order of the records. @throws DataError with file and line for a record without a reference answer */
export const scoreRecords = <Config extends object, Record extends TaskRecord, Prediction extends TaskPrediction>(
  task: Pick<TaskDefinition<Config, Record, never, Prediction>, 'scorer'>,
  records: readonly Record[],
  predictions: readonly Prediction[],
  config: Config,
  headLabels?: readonly string[],
): ScoredUnits => {
  const scorer = task.scorer(config, headLabels)
  for (const [i, record] of records.entries()) scorer.add(record, predictions[i])
  return scorer.units()
}
