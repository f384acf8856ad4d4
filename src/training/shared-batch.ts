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
  const totals = trainingWeights(trainable, examples)
  const shared = {
    totals,
    // The most micro-batches that a process has, where each of them is exchanged.
    rounds: async (own: number) => (exchange.everyMicroBatch ? Math.max(...(await group.gather(own))) : own),
  }
  if (weights === undefined) return { ...shared, sink: exchange }
  weights.onGradients = (buckets) => exchange.complete(buckets)
  weights.choosePlan(Object.keys(totals).filter((term) => totals[term] > 0))
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

/**
 * For each term of the loss the shortest example of the batch with something to learn, the first of several: together they go through every
 * layer that the batch goes through, forward and backward.
 */
export const shortestTrained = <Example>(
  { objective }: TrainableModel<Example>,
  examples: readonly Example[],
): Example[] => {
  const shortest = new Map<string, Example>()
  for (const example of examples)
    for (const [term, weight] of Object.entries(objective.weights(example))) {
      const least = shortest.get(term)
      if (weight > 0 && (least === undefined || objective.tokens(example) < objective.tokens(least)))
        shortest.set(term, example)
    }
  return [...new Set(shortest.values())]
}
