// What an optimizer is: the contract between the engine of this folder and each rule of update, and what the loop sees.
// Knows no rule, no schedule and no model.
import { z } from 'zod'
import type { Tensor } from '../tensor/index.ts'

/** What a rule may know of a parameter before its first gradient. */
export interface ParameterFacts {
  path: string
  shape: readonly number[]
  /** A matrix between hidden layers, as against embeddings, heads, norms and biases. */
  hiddenMatrix: boolean
}

/** One parameter in one update. */
export interface ParameterUpdate extends ParameterFacts {
  /** float32 truth, changed in place: the parameter itself, or the master of a bfloat16 one. */
  weight: Tensor
  /** The bfloat16 parameter that receives the rounded weight, where `weight` is a master. */
  copy: Tensor | undefined
  /** float32 or bfloat16; finite, not yet scaled, not to be changed. */
  gradient: Tensor
  /** The parameter's slots by name, changed in place. */
  slots: Readonly<Record<string, Tensor>>
  /** The schedule's rate times the scale of the parameter's group. */
  learningRate: number
  weightDecay: number
  /** Which update of this parameter it is, from 1. */
  count: number
}

export interface OptimizerDefinition<Schema extends z.ZodType = z.ZodType, Type extends string = string> {
  /** Name in recipes and flags, kebab-case. */
  readonly type: Type
  /** The paper, and the implementation whose numbers it reproduces. */
  readonly source: string
  /** One sentence for help and reports, with the bytes of state for each value. */
  readonly summary: string
  readonly config: Schema
  /** The reference's own learning rate, for recipes that name none. */
  defaultLearningRate(config: z.output<Schema>): number
  /** The float32 tensors to keep for a parameter, by name, with their shapes; they start as zeros. */
  slots(config: z.output<Schema>, parameter: ParameterFacts): Record<string, readonly number[]>
  /** Changes weights, slots and copies in place, without recording for backward. `scale` multiplies every gradient. */
  update(config: z.output<Schema>, updates: readonly ParameterUpdate[], scale: number): void
}

/** Defines an optimizer; `registerOptimizer` makes it available to recipes and flags. */
export const defineOptimizer = <const Type extends string, Schema extends z.ZodType>(
  definition: OptimizerDefinition<Schema, Type>,
): OptimizerDefinition<Schema, Type> => definition

/** Parameters with one weight decay and one scale of the learning rate. */
export interface ParameterGroup {
  paths: string[]
  weightDecay: number
  learningRateScale: number
}

export interface StepOptions {
  /** Already from the schedule. */
  learningRate: number
  /** Multiplies gradients: a division by the global weight without a pass of its own. 1 unless given. */
  gradientScale?: Tensor | number
  /** Longest norm over all scaled gradients together; a longer one is scaled down. Not clipped unless given. */
  maxGradientNorm?: number
  /** Norm over all unscaled gradients, where it is known already (of several processes, say); else it is measured. */
  gradientNorm?: number
}

export interface StepResult {
  /** False where a gradient was not finite: parameters and state are then untouched. */
  applied: boolean
  /** Over all gradients, after `gradientScale` and before clipping; not finite where `applied` is false. */
  gradientNorm: number
}

/** Everything needed to go on to the bit. */
export interface OptimizerState {
  /** By path and slot, `layers.0.mlp.upProj.weight/first_moment`. These are the live tensors: write them before the next step. */
  tensors: Map<string, Tensor>
  /** Updates applied so far. */
  step: number
}

export interface Optimizer {
  readonly type: string
  /** What decays, and at which share of the learning rate; for reports. */
  readonly groups: readonly ParameterGroup[]
  /** The float32 truth by path: parameters, or masters of bfloat16 ones. */
  readonly weights: ReadonlyMap<string, Tensor>
  /** Bytes of slots and masters. */
  readonly stateBytes: number
  /**
   * One update of every parameter that `gradients` has, by path; the others keep their values, their state and their own count of
   * updates. The host waits for the device once, for the norm.
   * @throws ShapeError for gradients that do not fit; nothing is changed then.
   */
  step(gradients: ReadonlyMap<string, Tensor>, options: StepOptions): StepResult
  state(): OptimizerState
  /** Takes a state back, and writes masters into their bfloat16 parameters. @throws CheckpointError; nothing is changed then. */
  loadState(state: { tensors: ReadonlyMap<string, Tensor>; step: number }): void
}

/** The fields that every optimizer shares. */
export const groupFields = (weightDecay: number) => ({
  weightDecay: z
    .number()
    .min(0)
    .default(weightDecay)
    .describe('share of a weight, times the learning rate, lost a step'),
  decayEmbeddings: z.boolean().default(true).describe('decay embedding tables too'),
  decayVectors: z.boolean().default(false).describe('decay biases and norm weights too (fewer than two dimensions)'),
  layerDecay: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('each layer learns at this share of the learning rate of the layer above it'),
})

export interface GroupConfig {
  weightDecay: number
  decayEmbeddings: boolean
  decayVectors: boolean
  layerDecay: number
}

/** A coefficient of a running average. */
export const averageField = (value: number) => z.number().min(0).lt(1).default(value)
