// Learning a task from features: records become rows of the frozen base's hidden states, a learner is fitted on them, and its scores
// of other rows become the task's predictions. Independent of single tasks, architectures and learners.
import { z } from 'zod'
import { ConfigError, DataError, openEnum, parseConfig } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import type { DiscriminativeTask, PredictionResult, RowTargets, TaskExample, TaskRecord } from '../tasks/index.ts'
import { noGrad, noGradScope, Tensor } from '../tensor/index.ts'
import { type Extracted, type ExtractOptions, extractFeatures, type FeatureSequence } from './extract.ts'
import { pairFeatures, type Scaler, scoreRows, standardized } from './feature-model.ts'
import { type FeaturePooling, layerField, poolings } from './layers.ts'
import type { FitHooks, FittedLearner, LearningProblem, ProblemKind } from './learner.ts'
import { findLearner, type LearnerType, learnerTypes } from './learners/index.ts'

const fields = {
  layer: layerField.default('last'),
  pooling: z
    .enum(poolings)
    .optional()
    .describe(
      "pooling of a text's token vectors into one (default: mean; tasks that label tokens always use `tokens`)",
    ),
  pairs: z
    .enum(['together', 'separate'])
    .default('together')
    .describe('two texts of a record: together in one sequence, or separate, with u, v, |u-v| and u*v as features'),
  standardize: z
    .boolean()
    .default(false)
    .describe('scale each feature to mean 0 and standard deviation 1 on the training data'),
  batchTokens: z.int().positive().default(4096).describe('tokens per batch through the base'),
  cache: z
    .string()
    .optional()
    .describe("folder of the feature cache (default: tunesmith/features in the user's cache)"),
}
const shared = z.strictObject(fields)

/** Checked settings of learning from features. */
export type FeatureSettings = z.output<typeof shared> & {
  learner: string
  /** The learner's own settings. */
  settings: object
}

/** Settings that all learners share, and the choice of the learner. */
export const featureFields = shared.extend({
  learner: openEnum<LearnerType>(learnerTypes)
    .optional()
    .describe('learner on the features (default: the first of these that supports the task)'),
})

/** Checks flat settings, those of the features and those of the learner together. @throws ConfigError for a learner without support for `kind` */
export const featureSettings = (given: Record<string, unknown>, kind: ProblemKind): FeatureSettings => {
  const { learner: named, ...rest } = given
  const able = learnerTypes()
    .map(findLearner)
    .filter(({ kinds }) => kinds.includes(kind))
  const definition = named === undefined ? able[0] : findLearner(String(named))
  if (!definition.kinds.includes(kind))
    throw new ConfigError(
      `Expected a learner for ${describeKind[kind]} (${able.map(({ type }) => type).join(', ')}) for \`adapter.learner\`, got ${definition.type}.`,
    )
  const own = (definition.config as z.ZodObject).shape
  const schema = z.strictObject({ ...fields, ...own })
  const parsed = parseConfig(schema, rest, 'adapter') as Record<string, unknown>
  const pick = (names: object) => Object.fromEntries(Object.entries(parsed).filter(([name]) => name in names))
  return { ...(pick(fields) as z.output<typeof shared>), learner: definition.type, settings: pick(own) }
}

const describeKind: Record<ProblemKind, string> = {
  class: 'classes',
  labels: 'several labels at once',
  number: 'numbers',
}

/** A task with targets for learners on features. */
export type LearnableTask = DiscriminativeTask & { rows: RowTargets }

/** The task as a learning problem; a choice becomes two classes, right and wrong. */
export const learningProblem = ({ kind, outputs }: RowTargets): LearningProblem =>
  kind === 'choice' ? { kind: 'class', outputs: 2 } : { kind, outputs }

/** The pooling that fits the task: `tokens` for tasks that label tokens, else one vector per text. @throws ConfigError for a pooling that does not fit */
export const taskPooling = (rows: RowTargets, given: FeaturePooling | undefined): FeaturePooling => {
  const labelsTokens = rows.positions !== undefined
  if (given === undefined) return labelsTokens ? 'tokens' : 'mean'
  if (labelsTokens !== (given === 'tokens'))
    throw new ConfigError(
      labelsTokens
        ? `Expected "tokens" for \`adapter.pooling\` of a task that labels tokens, got "${given}". Remove it.`
        : 'Expected a pooling to one vector for `adapter.pooling` of a task that labels whole texts, got "tokens". Remove it.',
    )
  return given
}

/** The features of a task's records. */
export interface TaskFeatures {
  /** The examples of each record. */
  examples: TaskExample[][]
  /** float32 [rows,C], the rows of all examples in order. */
  features: Tensor
  /** Number of rows of each example. */
  rows: number[]
  extracted: Omit<Extracted, 'features' | 'rows'>
}

/** Encodes the records and extracts their features. @param options.separatePairs texts of pairs are separate sequences */
export const taskFeatures = async (
  base: Model,
  task: LearnableTask,
  records: readonly TaskRecord[],
  options: ExtractOptions & { separatePairs: boolean },
): Promise<TaskFeatures> => {
  const examples = records.map((record) => task.encode(record))
  const sequences: FeatureSequence[] = []
  const rows: number[] = []
  for (const example of examples.flat()) {
    const positions = task.rows.positions?.(example)
    const { ids, typeIds, starts } = example
    rows.push(positions?.length ?? (options.separatePairs ? starts.length / 2 : starts.length))
    starts.forEach((start, i) => {
      const end = starts[i + 1] ?? ids.length
      const types = typeIds === undefined ? {} : { typeIds: typeIds.subarray(start, end) }
      sequences.push({ ids: ids.subarray(start, end), ...types, ...(positions === undefined ? {} : { positions }) })
    })
  }
  const { features: vectors, rows: _, ...extracted } = await extractFeatures(base, sequences, options)
  const features = options.separatePairs ? noGrad(() => pairFeatures(vectors)).keep() : vectors
  if (options.separatePairs) vectors.free()
  return { examples, features, rows, extracted }
}

/** A fitted learner, and the scaling of its features. */
export interface LearningResult {
  fitted: FittedLearner
  scaler: Scaler | undefined
}

/** Rows to fit on, with their targets. */
interface FitRows {
  /** Indices of the rows, or of both rows of each difference. */
  rows: readonly number[] | { from: readonly number[]; to: readonly number[] }
  answers: Float64Array
}

/** Rows with a known target. */
const targetRows = (task: LearnableTask, { examples, features }: TaskFeatures): FitRows => {
  const answers = Float64Array.from(examples.flat().flatMap((example) => Array.from(task.rows.targets(example))))
  const each = answers.length / features.shape[0]
  const rows = knownRows(answers, each)
  const own = rows.flatMap((row) => Array.from(answers.subarray(row * each, (row + 1) * each)))
  return { rows, answers: Float64Array.from(own) }
}

/**
 * Differences of compared rows, in turns better minus worse and worse minus better, so that a linear classifier of them has the loss of
 * Bradley and Terry and needs no intercept. Undefined where some rows are not compared.
 */
const comparedRows = ({ rows: { pairs } }: LearnableTask, { examples, rows }: TaskFeatures): FitRows | undefined => {
  if (pairs === undefined) return undefined
  const [from, to]: [number[], number[]] = [[], []]
  let first = 0
  for (const [i, example] of examples.flat().entries()) {
    const own = pairs(example)
    if (own.length === 0) return undefined
    for (const [high, low] of own) {
      const isTurned = from.length % 2 === 1
      from.push(first + (isTurned ? low : high))
      to.push(first + (isTurned ? high : low))
    }
    first += rows[i]
  }
  return { rows: { from, to }, answers: Float64Array.from(from, (_, i) => (i + 1) % 2) }
}

const pick = (features: Tensor, rows: readonly number[]): Tensor =>
  features.indexSelect(0, Tensor.from(Int32Array.from(rows), { dtype: 'int64' }))

/** Fits a learner on the records with a known target. @throws DataError where there is none */
export const learnFromFeatures = async (
  task: LearnableTask,
  data: TaskFeatures,
  { learner, settings, standardize }: FeatureSettings,
  hooks: FitHooks,
): Promise<LearningResult> => {
  const { features } = data
  const definition = findLearner(learner)
  const { rows, answers } = (definition.isLinear ? comparedRows(task, data) : undefined) ?? targetRows(task, data)
  if (answers.length === 0) throw new DataError('Expected records with a known target, got none.')
  const isPicked = !('from' in rows)
  const picked = isPicked && rows.length < features.shape[0] ? noGradScope(() => pick(features, rows)).keep() : features
  const scaler = standardize ? measure(picked) : undefined
  const input = noGradScope(() => {
    const scaled = standardized(picked, scaler)
    return isPicked ? scaled : pick(scaled, rows.from).sub(pick(scaled, rows.to))
  }).keep()
  try {
    const dataset = { ...learningProblem(task.rows), features: input, answers, weights: task.rows.weights }
    return { fitted: await definition.fit(dataset, settings, hooks), scaler }
  } finally {
    if (input !== features && input !== picked) input.free()
    if (picked !== features) picked.free()
  }
}

const knownRows = (answers: Float64Array, each: number): number[] => {
  const known: number[] = []
  for (let row = 0; row < answers.length / each; row++) if (!Number.isNaN(answers[row * each])) known.push(row)
  return known
}

/** As scikit-learn's StandardScaler: a constant feature is not scaled. */
const measure = (features: Tensor): Scaler => {
  const [mean, deviation] = noGradScope(() => {
    const wide = features.to('float64')
    const spread = wide.std(0, { correction: 0 })
    return [wide.mean(0).to('float32'), spread.maskedFill(spread.lt(1e-12), 1).to('float32')]
  })
  return { mean: mean.keep(), deviation: deviation.keep() }
}

/** The task's predictions from the learner's scores. */
export const predictFromFeatures = (
  task: LearnableTask,
  records: readonly TaskRecord[],
  { examples, features, rows, extracted }: TaskFeatures,
  { fitted, scaler }: LearningResult,
): PredictionResult => {
  const started = performance.now()
  const { kind, positions } = task.rows
  const scores = scoreRows(features, { fitted, scaler, kind })
  const width = scores.shape[1]
  const values = scores.toFloat32Array()
  scores.free()
  let at = 0
  let example = 0
  const predictions = records.map((record, i) =>
    task.decode(
      record,
      examples[i].map((one) => {
        const own = values.subarray(at * width, (at += rows[example++]) * width)
        return { example: one, logits: positions === undefined ? own : spread(own, positions(one), one, width) }
      }),
    ),
  )
  const cuts = examples.map((each) => each.reduce((sum, { truncatedTokens: cut }) => sum + cut, 0))
  return {
    predictions,
    examples: examples.flat().length,
    tokens: examples.flat().reduce((sum, { ids }) => sum + ids.length, 0),
    truncatedTokens: cuts.reduce((sum, cut) => sum + cut, 0),
    truncatedRecords: cuts.filter((cut) => cut > 0).length,
    seconds: extracted.seconds + (performance.now() - started) / 1000,
  }
}

/** Scores of the labelled tokens at their positions; those of other tokens stay zero and are never read. */
const spread = (scores: Float32Array, positions: Uint32Array, { ids }: TaskExample, width: number): Float32Array => {
  const all = new Float32Array(ids.length * width)
  positions.forEach((position, i) => {
    all.set(scores.subarray(i * width, (i + 1) * width), position * width)
  })
  return all
}
