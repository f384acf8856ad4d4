// What the training loop needs: model, data, optimizer, settings and the callbacks that it waits for.
import type { ProcessGroup } from '../distributed/index.ts'
import type { Optimizer, WeightAverage } from '../optim/index.ts'
import type { RunLength } from './budget.ts'
import type { ExampleSource } from './example-stream.ts'
import type { TrainableModel } from './gradients.ts'
import type { NonFiniteReport } from './incidents.ts'
import type { LoopState } from './loop-state.ts'
import type { TrainingSettings } from './settings.ts'
import type { ShardedWeights } from './sharded-weights.ts'

/** Everything that the loop needs to train. */
export interface TrainingRun<Example = unknown> {
  trainable: TrainableModel<Example>
  stream: ExampleSource<Example>
  optimizer: Optimizer
  average?: WeightAverage
  settings: TrainingSettings
  /** Peak of the schedule. */
  learningRate: number
  length: RunLength
  state: LoopState
  device?: string
  /** Metrics of the current weights on the validation data. */
  evaluate?(state: LoopState): Promise<Record<string, number>>
  sample?(): Promise<{ prompt?: string; text: string }[]>
  /** Called before each step, which waits for it: the weights are those of the state's step until then. It must leave them as they are. */
  beforeStep?(state: LoopState): Promise<void> | undefined
  /** Writes a checkpoint and returns its path. */
  save?(state: LoopState): Promise<string>
  /** Restores the newest checkpoint and returns its state; undefined without one. */
  rollBack?(): Promise<LoopState | undefined>
  /** Stores a report of a step that was not applied and returns its path. */
  recordIncident?(step: number, report: NonFiniteReport): Promise<string>
  /** The processes that share each batch. All run this loop, with callbacks that agree. */
  group?: ProcessGroup
  /** The weights, where each process has a part of them. */
  shardedWeights?: ShardedWeights | undefined
  /** Writes a checkpoint after an error, when the other processes may be gone (default: `save`). */
  rescue?(state: LoopState): Promise<string | undefined>
  /** Whether somebody asks for a checkpoint now; called after each step. */
  wantsCheckpoint?(state: LoopState): boolean | Promise<boolean>
  /** When it is aborted, the loop finishes the current step, saves and ends. */
  signal?: AbortSignal | undefined
}
