// How a process of a group computes its rows of a batch: with what it exchanges gradients, and where weights come from.
import type { ProcessGroup } from '../distributed/index.ts'
import type { GradientExchange } from './gradient-exchange.ts'
import { type SharedBatch, type TrainableModel, trainingWeights } from './gradients.ts'
import type { ShardedWeights } from './sharded-weights.ts'

/** @param examples the whole batch */
export const shareBatch = <Example>(
  trainable: TrainableModel<Example>,
  examples: readonly Example[],
  group: ProcessGroup,
  exchange: GradientExchange,
  weights: ShardedWeights | undefined,
): SharedBatch<Example> => {
  const shared = {
    totals: trainingWeights(trainable, examples),
    // The most micro-batches that a process has, where each of them is exchanged.
    rounds: async (own: number) => (exchange.everyMicroBatch ? Math.max(...(await group.gather(own))) : own),
  }
  if (weights === undefined) return { ...shared, sink: exchange }
  weights.onGradients = (buckets) => exchange.complete(buckets)
  const { isFirst } = weights
  return {
    ...shared,
    weights,
    idle: shortestTrained(trainable, examples),
    showsPasses: isFirst,
    sink: {
      beginPass: (source) => exchange.beginPass(source),
      openMicroBatch(isLast) {
        weights.beginMicroBatch()
        if (!weights.isFirst) exchange.openMicroBatch(isLast)
      },
      async closeMicroBatch() {
        const shows = weights.isFirst
        weights.endMicroBatch()
        if (shows) await group.expectEqual({ 'order of layers': weights.plan })
        else await exchange.closeMicroBatch()
      },
      endPass: (rounds, own) => exchange.endPass(rounds, own),
    },
  }
}

/** The shortest example of the batch with something to learn, the first of several: every layer has a backward pass. */
export const shortestTrained = <Example>(
  { objective }: TrainableModel<Example>,
  examples: readonly Example[],
): Example => {
  const trained = examples.filter((example) => Object.values(objective.weights(example)).some((weight) => weight > 0))
  const { tokens } = objective
  return trained.reduce((least, example) => (tokens(example) < tokens(least) ? example : least))
}
