// What the training loop needs: model, data, optimizer, settings and the callbacks that it waits for; and how the processes of a
// group share its work.
import { type ProcessGroup, shareBlocks } from '../distributed/index.ts'
import type { ShareWork } from '../objectives/index.ts'
import { type Optimizer, ShardedOptimizer, type WeightAverage } from '../optim/index.ts'
import { BackwardUpdates } from './backward-updates.ts'
import type { RunLength } from './budget.ts'
import type { ExampleSource, FillContext, OnlineExamples } from './example-stream.ts'
import { GradientExchange } from './gradient-exchange.ts'
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

/** How the processes of a group exchange gradients. */
export const exchangeOf = <Example>({
  group,
  trainable,
  optimizer,
  settings,
  shardedWeights,
}: TrainingRun<Example>): GradientExchange | undefined =>
  group &&
  new GradientExchange(group, trainable.parameters, {
    everyMicroBatch: settings.shard === 'gradients' || shardedWeights !== undefined,
    sharded: optimizer instanceof ShardedOptimizer ? optimizer : undefined,
    toldWhenComplete: shardedWeights !== undefined,
  })

/** What updates parameters within the backward pass, where the settings say so. */
export const updatesOf = <Example>({
  trainable,
  optimizer,
  settings,
}: TrainingRun<Example>): BackwardUpdates<Example> | undefined =>
  settings.updateInBackward === 'none'
    ? undefined
    : new BackwardUpdates(trainable, optimizer, settings.updateInBackward === 'one-pass' ? 1 : 2)

/** How the processes of a group divide work without gradients; nothing in a single process. */
export const shareOf = (group: ProcessGroup | undefined): { share?: ShareWork } =>
  group === undefined ? {} : { share: (...given) => shareBlocks(group, ...given) }

/** Makes the examples of the batch at a position, where the run makes them itself and has not done so: with all weights in memory. */
export async function* fillExamples(
  { stream: { online }, shardedWeights, group }: Pick<TrainingRun, 'stream' | 'shardedWeights' | 'group'>,
  position: number,
  context: Omit<FillContext, 'share'>,
): ReturnType<OnlineExamples['fill']> {
  if (online === undefined || position < online.end) return
  await shardedWeights?.open()
  try {
    yield* online.fill(position, { ...context, ...shareOf(group) })
  } finally {
    shardedWeights?.close()
  }
}
