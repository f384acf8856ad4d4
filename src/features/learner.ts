// What a learner of features is: rows of numbers and an answer for each in, something that scores rows out. Knows no learner, no model and
// no task.
import type { z } from 'zod'
import { CheckpointError } from '../core/index.ts'
import type { Tensor } from '../tensor/index.ts'

/** A class of several, any of several labels at once, or a number. */
export type ProblemKind = 'class' | 'labels' | 'number'

export interface LearningProblem {
  kind: ProblemKind
  /** Scores of a row: classes, labels, or 1 for a number. */
  outputs: number
}

/** Scores that are learnt: two classes share one, which is the second's against 0. */
export const scoreColumns = ({ kind, outputs }: LearningProblem): number =>
  kind === 'class' && outputs === 2 ? 1 : outputs

export interface FeatureDataset extends LearningProblem {
  /** float32 [N,C] */
  features: Tensor
  /** [N] numbers of classes or values; [N*outputs] zeros and ones of labels. */
  answers: Float64Array
  /** How much a row of each class counts, or the yes of each label; 1 unless given. */
  weights?: Float32Array
}

export interface FitHooks {
  seed: number
  /** Share of the work that is done, from 0 to 1. */
  onProgress?(share: number): void
  onNote?(line: string): void
  signal?: AbortSignal
}

export interface FittedLearner {
  /**
   * float32 [N,C] -> float32 [N,outputs], on the CPU: of classes what a softmax turns into shares, of labels what a sigmoid does, or the
   * number.
   */
  scores(features: Tensor): Tensor
  /** All that its file holds. */
  readonly tensors: ReadonlyMap<string, Tensor>
  /** Numbers that were learnt. */
  readonly parameterCount: number
  /** Mean loss on what was learnt from, where the learner has one. */
  readonly loss?: number
}

export interface LearnerDefinition<Config extends object = object> {
  type: string
  source: string
  summary: string
  /** A strict object. */
  config: z.ZodType<Config>
  /** What it can learn. */
  kinds: readonly ProblemKind[]
  /** The features are left as they are. */
  fit(lesson: FeatureDataset, config: Config, hooks: FitHooks): Promise<FittedLearner>
  /** What `tensors` of a fitted one held. @throws CheckpointError for tensors that do not fit */
  open(tensors: ReadonlyMap<string, Tensor>, config: Config, problem: LearningProblem): FittedLearner
}

/** Declares a learner; index.ts makes it known. */
export const defineLearner = <Config extends object>(
  definition: LearnerDefinition<Config>,
): LearnerDefinition<Config> => definition

/** A tensor of a learner's file. @throws CheckpointError where it is missing or of another shape; -1 fits any size */
export const expectTensor = (tensors: ReadonlyMap<string, Tensor>, name: string, shape: readonly number[]): Tensor => {
  const tensor = tensors.get(name)
  const fits = tensor?.ndim === shape.length && shape.every((size, i) => size === -1 || tensor.shape[i] === size)
  if (tensor !== undefined && fits) return tensor
  const got = tensor === undefined ? 'none' : `[${tensor.shape.join(', ')}]`
  throw new CheckpointError(
    `Expected a tensor [${shape.map((size) => (size === -1 ? 'any' : size)).join(', ')}] for \`${name}\` of the learner, got ${got}. The file belongs to another one.`,
  )
}

/** How much each row counts: [N] of classes, [N*outputs] of labels; undefined where all count the same. */
export const rowWeights = ({ kind, answers, weights }: FeatureDataset): Float64Array | undefined => {
  if (weights === undefined || kind === 'number') return undefined
  if (kind === 'class') return Float64Array.from(answers, (answer) => weights[answer])
  return Float64Array.from(answers, (yes, i) => (yes === 1 ? weights[i % weights.length] : 1))
}
