// Learning a task from features: records become rows of the frozen base's vectors, a learner learns from them, and what it says of other
// rows becomes the task's predictions. Knows no task, no architecture and no learner by name.
import { ConfigError, DataError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import type { DiscriminativeTask, PredictionResult, RowTargets, TaskExample, TaskRecord } from '../tasks/index.ts'
import { noGrad, scope, Tensor } from '../tensor/index.ts'
import { type Extracted, type ExtractOptions, extractFeatures, type FeatureSequence } from './extract.ts'
import { pairFeatures, type Scaler, scoreRows, standardized } from './feature-head.ts'
import type { FeaturePooling } from './layers.ts'
import type { FeatureDataset, FitHooks, FittedLearner, LearningProblem } from './learner.ts'
import { type FeatureSettings, findLearner } from './settings.ts'

export type LearnableTask = DiscriminativeTask & { rows: RowTargets }

/** How the task is put to a learner: choices are right or wrong. */
export const learningProblem = ({ kind, outputs }: RowTargets): LearningProblem =>
  kind === 'choice' ? { kind: 'class', outputs: 2 } : { kind, outputs }

/** Tasks about tokens read each of them. @throws ConfigError for another pooling */
export const taskPooling = (rows: RowTargets, asked: FeaturePooling | undefined): FeaturePooling => {
  const about = rows.positions !== undefined
  if (asked === undefined) return about ? 'tokens' : 'mean'
  if (about !== (asked === 'tokens'))
    throw new ConfigError(
      about
        ? `Expected "tokens" for \`adapter.pooling\` of a task about tokens, got "${asked}". Remove it.`
        : 'Expected one vector for each text, got "tokens" for `adapter.pooling`: the task asks of whole texts.',
    )
  return asked
}

export interface TaskFeatures {
  /** Of each record. */
  examples: TaskExample[][]
  /** float32 [rows,C], the rows of all examples in order. */
  features: Tensor
  /** Rows of each example. */
  rows: number[]
  extracted: Omit<Extracted, 'features' | 'rows'>
}

/** The features that the task's examples ask for. */
export const taskFeatures = async (
  base: Model,
  task: LearnableTask,
  records: readonly TaskRecord[],
  options: ExtractOptions & { apart: boolean },
): Promise<TaskFeatures> => {
  const examples = records.map((record) => task.encode(record))
  const sequences: FeatureSequence[] = []
  const rows: number[] = []
  for (const example of examples.flat()) {
    const positions = task.rows.positions?.(example)
    const { ids, typeIds, starts } = example
    rows.push(positions?.length ?? (options.apart ? starts.length / 2 : starts.length))
    starts.forEach((start, i) => {
      const end = starts[i + 1] ?? ids.length
      const types = typeIds === undefined ? {} : { typeIds: typeIds.subarray(start, end) }
      sequences.push({ ids: ids.subarray(start, end), ...types, ...(positions === undefined ? {} : { positions }) })
    })
  }
  const { features: vectors, rows: _, ...extracted } = await extractFeatures(base, sequences, options)
  const features = options.apart ? noGrad(() => pairFeatures(vectors)).keep() : vectors
  if (options.apart) vectors.free()
  return { examples, features, rows, extracted }
}

export interface LearningResult {
  fitted: FittedLearner
  scaler: Scaler | undefined
}

/** @throws DataError where no answer is known */
export const learnFromFeatures = async (
  task: LearnableTask,
  { examples, features }: TaskFeatures,
  { learner, settings, standardize }: FeatureSettings,
  hooks: FitHooks,
): Promise<LearningResult> => {
  const answers = Float64Array.from(examples.flat().flatMap((example) => Array.from(task.rows.targets(example))))
  const each = answers.length / features.shape[0]
  const known = knownRows(answers, each)
  if (known.length === 0) throw new DataError('Expected records whose answer is known, got none.')
  const whole = known.length === features.shape[0]
  const rows = whole
    ? features
    : noGrad(() => features.indexSelect(0, Tensor.from(Int32Array.from(known), { dtype: 'int64' }))).keep()
  const lesson: FeatureDataset = {
    ...learningProblem(task.rows),
    features: rows,
    answers: whole
      ? answers
      : Float64Array.from(known.flatMap((row) => Array.from(answers.subarray(row * each, (row + 1) * each)))),
    weights: task.rows.weights,
  }
  const scaler = standardize ? measure(rows) : undefined
  const input = scaler === undefined ? rows : noGrad(() => standardized(rows, scaler)).keep()
  try {
    const definition = findLearner(learner)
    return { fitted: await definition.fit({ ...lesson, features: input }, settings, hooks), scaler }
  } finally {
    if (input !== rows) input.free()
    if (rows !== features) rows.free()
  }
}

const knownRows = (answers: Float64Array, each: number): number[] => {
  const known: number[] = []
  for (let row = 0; row < answers.length / each; row++) if (!Number.isNaN(answers[row * each])) known.push(row)
  return known
}

/** As scikit-learn's StandardScaler: a feature that never changes keeps its size. */
const measure = (features: Tensor): Scaler => {
  const [mean, deviation] = noGrad(() =>
    scope(() => {
      const wide = features.to('float64')
      const spread = wide.std(0, { correction: 0 })
      return [wide.mean(0).to('float32'), spread.maskedFill(spread.lt(1e-12), 1).to('float32')]
    }),
  )
  return { mean: mean.keep(), deviation: deviation.keep() }
}

/** What the task makes of the learner's scores of its features. */
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

/** Scores of the tokens that are asked at their places; the others are not looked at. */
const spread = (scores: Float32Array, positions: Uint32Array, { ids }: TaskExample, width: number): Float32Array => {
  const all = new Float32Array(ids.length * width)
  positions.forEach((position, i) => {
    all.set(scores.subarray(i * width, (i + 1) * width), position * width)
  })
  return all
}
