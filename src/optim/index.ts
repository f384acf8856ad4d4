// The registry of optimizers, and what other folders may use of optim.
import type { z } from 'zod'
import { openUnion, optionCheck, parseConfig, Registry } from '../core/index.ts'
import { dtypeFacts, type Tensor } from '../tensor/index.ts'
import { adafactor } from './adafactor.ts'
import { adamw } from './adamw.ts'
import { adamw8bit } from './adamw-8bit.ts'
import { adamwScheduleFree } from './adamw-schedule-free.ts'
import { apollo } from './apollo.ts'
import { countName, RunningOptimizer, stateFacts } from './engine.ts'
import { galore } from './galore.ts'
import { lion } from './lion.ts'
import { muon } from './muon.ts'
import type { Optimizer, OptimizerDefinition, ParameterFacts } from './optimizer.ts'
import type { GroupOptions } from './parameter-groups.ts'
import { sgd } from './sgd.ts'
import type { ShardedOptimizer, ShardPlace } from './shard.ts'
import { ElementShardedOptimizer } from './shard-elements.ts'
import { ParameterShardedOptimizer } from './shard-parameters.ts'

export { type AverageConfig, averageSchema, createAverage, type WeightAverage } from './average.ts'
export {
  defineOptimizer,
  type Optimizer,
  type OptimizerDefinition,
  type OptimizerState,
  type ParameterFacts,
  type ParameterGroup,
  type SingleUpdates,
  type StepOptions,
  type StepResult,
} from './optimizer.ts'
export { type GroupOptions, parameterGroups } from './parameter-groups.ts'
export * from './schedules/index.ts'
export {
  averageOfPart,
  type GradientBucket,
  gradientBuckets,
  type PartGradients,
  type Piece,
  ShardedOptimizer,
  ShardLayout,
  type ShardPlace,
  type TensorPart,
} from './shard.ts'
export { countName }

const registry = new Registry<OptimizerDefinition>('an optimizer')

/** Every optimizer by its `type`, those that packages registered included. */
export const optimizers = registry.builtIn([
  adafactor,
  adamw,
  adamw8bit,
  adamwScheduleFree,
  apollo,
  galore,
  lion,
  muon,
  sgd,
])
/** Names of the built-in optimizers. */
export type OptimizerType = keyof typeof optimizers

/** Settings of any optimizer, told apart by `type`. */
export const optimizerSchema = openUnion('type', () =>
  registry.list.map(({ config }) => config as (typeof optimizers)[OptimizerType]['config']),
)
/** Checked settings of a built-in optimizer, defaults filled in. */
export type OptimizerConfig = z.output<typeof optimizerSchema>
/** Settings of a built-in optimizer: `type`, and those that differ from their defaults. */
export type OptimizerSettings = z.input<typeof optimizerSchema>

/**
 * Adds an optimizer to recipes and flags.
 * @throws ConfigError for a `type` that is taken
 */
export const registerOptimizer = (definition: OptimizerDefinition): void => registry.register(definition)

const definitionOf = ({ type }: OptimizerConfig) => optimizers[type] as OptimizerDefinition

const expectGroupOptions = optionCheck<GroupOptions>('createOptimizer', {
  groups: true,
  layerOf: true,
  numLayers: true,
  isMatrixOfHiddenLayer: true,
  learningRateScale: true,
})

/**
 * Creates an optimizer over parameters by path, such as `model.parameters()`. float32 parameters are updated in place; a bfloat16
 * one gets a float32 master copy, which is updated, and is written as its rounded copy in the same step.
 * @param settings `{ type: 'adamw' }`, with the settings that differ from their defaults; the learning rate is an option of `step`
 * @throws ConfigError for unknown settings; ConfigError, ShapeError for parameters that cannot be trained
 */
export const createOptimizer = (
  settings: OptimizerSettings,
  parameters: ReadonlyMap<string, Tensor>,
  options: GroupOptions = {},
): Optimizer => {
  const config = parseConfig(optimizerSchema, settings, 'optimizer')
  expectGroupOptions(options)
  return new RunningOptimizer(definitionOf(config), config, parameters, options)
}

/**
 * Creates one part of the optimizer of a checked config, for processes that share its state.
 * @throws ConfigError for an optimizer or parameters that cannot be divided
 */
export const createShardedOptimizer = (
  config: OptimizerConfig,
  parameters: ReadonlyMap<string, Tensor>,
  options: GroupOptions,
  place: ShardPlace,
): ShardedOptimizer => {
  const definition = definitionOf(config)
  const Part = definition.elementwise ? ElementShardedOptimizer : ParameterShardedOptimizer
  return new Part(definition, config, parameters, options, place)
}

/** Default learning rate of an optimizer: that of its reference implementation. */
export const defaultLearningRate = (config: OptimizerConfig): number => definitionOf(config).defaultLearningRate(config)

/** Bytes of state, computed without allocating it; a bfloat16 parameter adds its float32 master. */
export const optimizerStateBytes = (
  config: OptimizerConfig,
  parameters: Iterable<ParameterFacts & { dtype: 'float32' | 'bfloat16' | 'float16' }>,
): number => {
  const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)
  let bytes = 0
  for (const parameter of parameters) {
    const state = stateFacts(definitionOf(config), config, { facts: parameter, dtype: parameter.dtype })
    for (const { shape, dtype } of Object.values(state)) bytes += sizeOf(shape) * dtypeFacts(dtype).bytes
  }
  return bytes
}
