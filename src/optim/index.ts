// The registry of optimizers, and what other folders may use of optim.
import { z } from 'zod'
import type { Tensor } from '../tensor/index.ts'
import { adafactor } from './adafactor.ts'
import { adamw } from './adamw.ts'
import { RunningOptimizer } from './engine.ts'
import { lion } from './lion.ts'
import { muon } from './muon.ts'
import type { Optimizer, OptimizerDefinition, ParameterFacts } from './optimizer.ts'
import type { GroupOptions } from './parameter-groups.ts'
import { sgd } from './sgd.ts'

export { type AverageConfig, averageSchema, createAverage, type WeightAverage } from './average.ts'
export {
  defineOptimizer,
  type Optimizer,
  type OptimizerDefinition,
  type OptimizerState,
  type ParameterFacts,
  type ParameterGroup,
  type StepOptions,
  type StepResult,
} from './optimizer.ts'
export { type GroupOptions, parameterGroups } from './parameter-groups.ts'
export * from './schedules/index.ts'

export const optimizers = { adafactor, adamw, lion, muon, sgd } as const
export type OptimizerType = keyof typeof optimizers

/** Any optimizer, told apart by `type`. */
export const optimizerSchema = z.discriminatedUnion('type', [
  adafactor.config,
  adamw.config,
  lion.config,
  muon.config,
  sgd.config,
])
export type OptimizerConfig = z.output<typeof optimizerSchema>

const definitionOf = ({ type }: OptimizerConfig) => optimizers[type] as OptimizerDefinition

/**
 * Makes the optimizer of a checked config over parameters by path. float32 parameters change in place; bfloat16 ones get a
 * float32 master, which is what changes, and are written as its rounded copy in the same step.
 * @throws ConfigError, ShapeError for parameters that cannot be trained
 */
export const createOptimizer = (
  config: OptimizerConfig,
  parameters: ReadonlyMap<string, Tensor>,
  options: GroupOptions = {},
): Optimizer => new RunningOptimizer(definitionOf(config), config, parameters, options)

/** The reference's own learning rate for this optimizer. */
export const defaultLearningRate = (config: OptimizerConfig): number => definitionOf(config).defaultLearningRate(config)

/** Bytes of state before anything is allocated; a bfloat16 parameter adds its master. */
export const optimizerStateBytes = (
  config: OptimizerConfig,
  parameters: Iterable<ParameterFacts & { dtype: 'float32' | 'bfloat16' }>,
): number => {
  const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)
  let values = 0
  for (const parameter of parameters) {
    if (parameter.dtype === 'bfloat16') values += sizeOf(parameter.shape)
    for (const shape of Object.values(definitionOf(config).slots(config, parameter))) values += sizeOf(shape)
  }
  return values * 4
}
