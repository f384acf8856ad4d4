// The interface between the engine of this folder and the update rules, and the optimizer as the training loop uses it.
import { z } from 'zod'
import type { Tensor } from '../tensor/index.ts'
import type { WeightAverage } from './average.ts'

/** Facts of a parameter that an update rule may use. */
export interface ParameterFacts {
  path: string
  shape: readonly number[]
  /** Whether it is a matrix of a hidden layer, not of embeddings, heads, norms or biases. */
  hiddenMatrix: boolean
}

/** A parameter in one update. */
export interface ParameterUpdate extends ParameterFacts {
  /** float32, updated in place: the parameter itself, or the master of a bfloat16 or float16 one. */
  weight: Tensor
  /** The bfloat16 or float16 parameter that receives the rounded weight, where `weight` is a master. */
  copy: Tensor | undefined
  /** float32, bfloat16 or float16; finite, not yet scaled, must not be changed. */
  gradient: Tensor
  /** State of the parameter by name, updated in place. */
  slots: Readonly<Record<string, Tensor>>
  /** Learning rate of the schedule times the scale of the parameter's group. */
  learningRate: number
  weightDecay: number
  /** Number of this update of the parameter, from 1. */
  count: number
}

/** A parameter between two updates. */
type EvaluatedParameter = Pick<ParameterUpdate, 'weight' | 'slots' | 'count'>

/** A tensor of state: the shape of a float32 one, or a shape with another dtype. */
export type SlotShape = readonly number[] | { shape: readonly number[]; dtype: 'uint8' }

/** An update rule with its settings. */
export interface OptimizerDefinition<Schema extends z.ZodType = z.ZodType, Type extends string = string> {
  /** Name in recipes and flags, kebab-case. */
  readonly type: Type
  /** Paper, and the reference implementation that it reproduces. */
  readonly source: string
  /** One sentence for help and reports, with the bytes of state per element. */
  readonly summary: string
  /** Settings, `type` included. */
  readonly config: Schema
  /** Whether each element is updated by itself, so that the state can be divided anywhere, not between parameters only. */
  readonly elementwise?: boolean
  /** Default learning rate: that of the reference implementation. */
  defaultLearningRate(config: z.output<Schema>): number
  /** Names and shapes of a parameter's state: float32 tensors unless they say otherwise, initially zeros. */
  slots(config: z.output<Schema>, parameter: ParameterFacts): Record<string, SlotShape>
  /**
   * The weights to evaluate and to export, where they are not those that are trained.
   * @param parameter a parameter after its last update, or before its first
   */
  evaluated?(config: z.output<Schema>, parameter: EvaluatedParameter): Tensor
  /** Updates weights, state and copies in place, under `noGrad`. `scale` is a factor of every gradient. */
  update(config: z.output<Schema>, updates: readonly ParameterUpdate[], scale: number): void
}

/** Defines an optimizer; `registerOptimizer` makes it available to recipes and flags. */
export const defineOptimizer = <const Type extends string, Schema extends z.ZodType>(
  definition: OptimizerDefinition<Schema, Type>,
): OptimizerDefinition<Schema, Type> => definition

/** Parameters with the same weight decay and learning-rate scale. */
export interface ParameterGroup {
  paths: string[]
  weightDecay: number
  learningRateScale: number
}

/** Options of an optimizer step. */
export interface StepOptions {
  /** Learning rate of this step. */
  learningRate: number
  /** Factor of the gradients (default 1), such as 1 / the weight of the global batch. */
  gradientScale?: Tensor | number | undefined
  /** Clips the global norm of the scaled gradients to this value (default: no clipping). */
  maxGradientNorm?: number | undefined
  /** Global norm of the unscaled gradients, where it is known already (default: computed). */
  gradientNorm?: number | undefined
}

/** Outcome of an optimizer step. */
export interface StepResult {
  /** False where a gradient was not finite: parameters and state are unchanged then. */
  applied: boolean
  /** Global norm after `gradientScale` and before clipping; not finite where `applied` is false. */
  gradientNorm: number
}

/** Updates of single parameters in one step. */
export interface SingleUpdates {
  /** Updates a parameter, once in the step. @param gradient finite @throws ShapeError for another shape or dtype, before any change */
  update(path: string, gradient: Tensor): void
  /** Ends the step. */
  end(): void
}

/** State of an optimizer, from which training resumes exactly. */
export interface OptimizerState {
  /** By path and name, as `layers.0.mlp.upProj.weight/first_moment`. Not copies: write them before the next step. */
  tensors: Map<string, Tensor>
  /** Number of updates so far. */
  step: number
}

/** An optimizer over the parameters of a model. */
export interface Optimizer {
  readonly type: string
  /** Groups of parameters by weight decay and learning-rate scale. */
  readonly groups: readonly ParameterGroup[]
  /** float32 weights by path: parameters, or the masters of those in 16 bits. */
  readonly weights: ReadonlyMap<string, Tensor>
  /** Swaps the weights to evaluate in, where they are not those that are trained. */
  readonly average?: WeightAverage | undefined
  /** Bytes of state and masters. */
  readonly stateBytes: number
  /**
   * Updates every parameter that has a gradient, by path; the others keep their elements, state and count of updates. It
   * synchronises with the device once, for the norm.
   * @throws ShapeError for gradients of another shape or dtype, before any change
   */
  step(gradients: ReadonlyMap<string, Tensor>, options: StepOptions): StepResult
  /** Begins a step that updates parameters one by one; undefined where it cannot. @param options `scale`: factor of each gradient */
  begin?(options: { learningRate: number; scale: number }): SingleUpdates
  /** The state, whose tensors are not copies. */
  state(): OptimizerState
  /** Restores a state, and writes masters into their parameters of 16 bits. @throws CheckpointError before any change */
  loadState(state: { tensors: ReadonlyMap<string, Tensor>; step: number }): void
}

/** Settings that all optimizers share. */
export const groupFields = (weightDecay: number) => ({
  weightDecay: z.number().min(0).default(weightDecay).describe('weight decay per step, times the learning rate'),
  decayEmbeddings: z.boolean().default(true).describe('weight decay of embedding tables'),
  decayVectors: z.boolean().default(false).describe('weight decay of biases and norm weights'),
  layerDecay: z.number().gt(0).max(1).default(1).describe('learning rate of each layer relative to the layer above it'),
})

/** Checked settings that all optimizers share. */
export interface GroupConfig {
  weightDecay: number
  decayEmbeddings: boolean
  decayVectors: boolean
  layerDecay: number
}

/** A setting: the decay of a running average. */
export const averageField = (value: number) => z.number().min(0).lt(1).default(value)
