// What a learner on features is: rows of features and targets go in, a fitted learner that scores rows comes out.
import type { z } from 'zod'
import { CheckpointError } from '../core/index.ts'
import type { Tensor } from '../tensor/index.ts'

/** One of several classes, any number of labels, or a number. */
export type ProblemKind = 'class' | 'labels' | 'number'

/** The shape of the targets. */
export interface LearningProblem {
  kind: ProblemKind
  /** Scores per row: classes, labels, or 1 for a number. */
  outputs: number
}

/** Scores that are fitted: two classes share one, the second's score against 0. */
export const scoreColumns = ({ kind, outputs }: LearningProblem): number =>
  kind === 'class' && outputs === 2 ? 1 : outputs

/** Features with their targets. */
export interface FeatureDataset extends LearningProblem {
  /** float32 [N,C] */
  features: Tensor
  /** [N] class indices or values; [N*outputs] zeros and ones for labels. */
  answers: Float64Array
  /** Weight of each class, or of the positives of each label (default: 1). */
  weights?: Float32Array
}

/** Seed, progress and cancellation of a fit. */
export interface FitHooks {
  seed: number
  /** Called with the share of the work that is done, from 0 to 1. */
  onProgress?(share: number): void
  onNote?(line: string): void
  signal?: AbortSignal | undefined
}

/** A learner after its fit. */
export interface FittedLearner {
  /**
   * float32 [N,C] -> float32 [N,outputs], on the CPU: logits of a softmax over classes, logits of a sigmoid per label, or the
   * number.
   */
  scores(features: Tensor): Tensor
  /** The tensors of its file. */
  readonly tensors: ReadonlyMap<string, Tensor>
  /** Fitted numbers. */
  readonly parameterCount: number
  /** Mean training loss, where the learner has one. */
  readonly loss?: number
}

/** A learner, as `defineLearner` takes it. */
export interface LearnerDefinition<Config extends object = object, Type extends string = string> {
  /** The name that recipes and flags use: lower-case words joined by hyphens. */
  type: Type
  /** Publication or library whose results it reproduces. */
  source: string
  /** One phrase for lists of learners. */
  summary: string
  /** A strict object schema. */
  config: z.ZodType<Config>
  /** Kinds of problems that it supports. */
  kinds: readonly ProblemKind[]
  /** Scores are linear in the features, so that a fit on differences of rows gives scores of rows. */
  isLinear?: boolean
  /** Fits on a data set, which it leaves unchanged. */
  fit(dataset: FeatureDataset, config: Config, hooks: FitHooks): Promise<FittedLearner>
  /** Restores a fitted learner from its tensors. @throws CheckpointError for tensors that do not fit */
  restore(tensors: ReadonlyMap<string, Tensor>, config: Config, problem: LearningProblem): FittedLearner
}

/** Declares a learner; `registerLearner` makes it known to recipes and flags. */
export const defineLearner = <Config extends object, Type extends string = string>(
  definition: LearnerDefinition<Config, Type>,
): LearnerDefinition<Config, Type> => definition

/** A tensor of a learner's file. @param shape -1 for any size @throws CheckpointError where it is missing or has another shape */
export const expectTensor = (tensors: ReadonlyMap<string, Tensor>, name: string, shape: readonly number[]): Tensor => {
  const tensor = tensors.get(name)
  const fits = tensor?.ndim === shape.length && shape.every((size, i) => size === -1 || tensor.shape[i] === size)
  if (tensor !== undefined && fits) return tensor
  const got = tensor === undefined ? 'none' : `[${tensor.shape.join(', ')}]`
  throw new CheckpointError(
    `Expected a tensor [${shape.map((size) => (size === -1 ? 'any' : size)).join(', ')}] for \`${name}\` of the learner, got ${got}. The file belongs to another learner.`,
  )
}

/** Weights of the rows: [N] for classes, [N*outputs] for labels; undefined where all are 1. */
export const rowWeights = ({ kind, answers, weights }: FeatureDataset): Float64Array | undefined => {
  if (weights === undefined || kind === 'number') return undefined
  if (kind === 'class') return Float64Array.from(answers, (answer) => weights[answer])
  return Float64Array.from(answers, (yes, i) => (yes === 1 ? weights[i % weights.length] : 1))
}
