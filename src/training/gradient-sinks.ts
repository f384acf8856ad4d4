// What takes gradients out of the backward passes of a run: the exchange between processes, or updates within them.
import { ShardedOptimizer } from '../optim/index.ts'
import { BackwardUpdates } from './backward-updates.ts'
import { GradientExchange } from './gradient-exchange.ts'
import type { TrainingRun } from './training-run.ts'

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
