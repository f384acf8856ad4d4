// A model at work on a task: predictions of records and how good they are. Sorted by length and cut into batches by tokens, so that
// little or no time goes into padding. Knows no task and no architecture.
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { ConfigError, parseConfig } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { mustPad } from '../objectives/index.ts'
import { inferenceMode, scope } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import type { Scores } from './metrics/judgement.ts'
import { type ScoreIntervals, scoreIntervals } from './metrics/resampling.ts'
import type { TaskDefinition, TaskExample, TaskPrediction, TaskRecord } from './task.ts'

export const evaluateTaskSchema = z.strictObject({
  maxLength: z
    .int()
    .positive()
    .optional()
    .describe('most tokens of an example; what the model and its tokenizer allow, up to 512, unless given'),
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
  tokens: number
  /** Tokens that were cut off because a record was too long. */
  cutTokens: number
  cutRecords: number
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

/** The most tokens that model and tokenizer take, up to 512. */
export const taskLength = ({ facts }: Pick<Model, 'facts'>, { maxLength }: Pick<Tokenizer, 'maxLength'>): number =>
  Math.min(facts.maxPositions ?? 512, maxLength ?? 512, 512)

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
  const { batchTokens, maxLength = taskLength(model, tokenizer) } = parseConfig(
    evaluateTaskSchema,
    settings,
    'settings',
  )
  if (model.headType !== task.head)
    throw new ConfigError(
      `Expected a model with the head ${task.head} for ${task.type}, got ${model.headType}. Load it with \`head: '${task.head}'\`.`,
    )
  const started = performance.now()
  const { learner, ...prepared } = task.prepare(tokenizer, config, { maxLength, headOptions: model.headOptions })
  const padded = mustPad(learner, model)
  const items: { example: Example; record: number }[] = []
  const outputs: { example: Example; logits: Float32Array }[][] = []
  for (let i = 0; i < records.length; i++) {
    if (i % 64 === 0) {
      await setImmediate()
      signal?.throwIfAborted()
    }
    const examples = prepared.encode(records[i])
    outputs.push(examples.map((example) => ({ example, logits: new Float32Array(0) })))
    for (const example of examples) items.push({ example, record: i })
  }
  const order = Array.from(items.keys()).sort(
    (a, b) => learner.tokens(items[a].example) - learner.tokens(items[b].example),
  )
  const places = placesInRecords(items)
  const lengths = order.map((i) => learner.tokens(items[i].example))
  const { device } = model.body.embedTokens.weight
  const wasTraining = model.training
  model.eval()
  let done = 0
  try {
    for (const [from, to] of batchesByTokens(lengths, batchTokens, padded)) {
      // Lets signals and progress through between two batches.
      await setImmediate()
      signal?.throwIfAborted()
      const part = order.slice(from, to)
      const logits = inferenceMode(() =>
        scope(() => {
          const batch = learner.collate(
            part.map((i) => items[i].example),
            { padded, device },
          )
          return prepared.split(model.forward(batch.inputs).logits.to('float32'), batch)
        }),
      )
      part.forEach((i, k) => {
        outputs[items[i].record][places[i]].logits = logits[k]
      })
      done += part.length
      onProgress?.({ examples: done, of: items.length })
    }
  } finally {
    if (wasTraining) model.train()
  }
  const predictions = records.map((record, i) => prepared.decode(record, outputs[i]))
  const cuts = outputs.map((each) => each.reduce((sum, { example }) => sum + example.cut, 0))
  return {
    predictions,
    examples: items.length,
    tokens: lengths.reduce((sum, length) => sum + length, 0),
    cutTokens: cuts.reduce((sum, cut) => sum + cut, 0),
    cutRecords: cuts.filter((cut) => cut > 0).length,
    seconds: (performance.now() - started) / 1000,
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
  const judgement = task.judge(records, result.predictions, config, model.headOptions.labels)
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

/** The place of each example among those of its record. */
const placesInRecords = (items: readonly { record: number }[]): number[] => {
  let first = 0
  return items.map(({ record }, i) => {
    if (i > 0 && items[i - 1].record !== record) first = i
    return i - first
  })
}

/** Cuts lengths that rise into batches, each as full as may be; one that is too long is a batch of its own. */
function* batchesByTokens(
  lengths: readonly number[],
  most: number,
  padded: boolean,
): Generator<[number, number], void> {
  let from = 0
  let sum = 0
  for (let i = 0; i < lengths.length; i++) {
    const size = padded ? lengths[i] * (i - from + 1) : sum + lengths[i]
    if (i > from && size > most) {
      yield [from, i]
      from = i
      sum = 0
    }
    sum += lengths[i]
  }
  if (lengths.length > from) yield [from, lengths.length]
}
