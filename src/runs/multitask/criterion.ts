// The criterion of several tasks: each batch holds the examples of all, and each task has its own forward pass, loss and
// weight. Independent of single tasks.
import { ConfigError } from '../../core/index.ts'
import { currentLayerWeights, type Model, withLayerWeights } from '../../models/index.ts'
import { currentDropout, withDropout } from '../../nn/index.ts'
import type { Batch, Criterion, LossTerm, Metric, Sequences } from '../../objectives/index.ts'
import { metricOfTask } from '../../tracking/index.ts'

/** A task that is trained. */
interface TrainedTask {
  name: string
  /** The shared body with the head of the task. */
  model: Model
  criterion: Criterion
  /** Factor of its loss. */
  scale: number
}

/** An example of one of several tasks. The loop counts its sequences by their starts. */
export interface TaggedTaskExample extends Pick<Sequences, 'starts'> {
  /** Number of the task. */
  task: number
  example: unknown
}

/** The examples of one task in a batch. */
interface BatchPart {
  task: TrainedTask
  /** Number of the task, and places of its examples in the batch. */
  number: number
  places: number[]
  batch: Batch
}

/** A batch of the examples of several tasks. */
interface JoinedBatch extends Batch {
  parts: BatchPart[]
}

const withName = <Value>(task: string, values: Record<string, Value>): Record<string, Value> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [metricOfTask(task, name), value]))

/**
 * The criterion of several tasks. The terms of a task have its name, and the loop divides each by its own weight in the
 * batch: the loss of a step is the sum of the tasks' losses, each times its scale, whatever shares they have in the batch.
 * @throws ConfigError for a task whose loss depends on the whole batch
 */
export const joinCriteria = (tasks: readonly TrainedTask[]): Criterion<TaggedTaskExample> => {
  for (const { name, criterion } of tasks)
    if (criterion.prepare !== undefined || criterion.carried !== undefined)
      throw new ConfigError(
        `Expected tasks whose loss depends on single examples, got ${name}, whose loss depends on the whole batch. Train it alone.`,
      )
  const of = ({ task }: TaggedTaskExample) => tasks[task]
  return {
    unpadded: tasks.every(({ criterion }) => criterion.unpadded),
    tokens: (one) => of(one).criterion.tokens(one.example),
    weights: (one) => withName(of(one).name, of(one).criterion.weights(one.example)),
    trainedTokens(one) {
      const { criterion } = of(one)
      return (
        criterion.trainedTokens?.(one.example) ??
        Object.values(criterion.weights(one.example)).reduce((sum, weight) => sum + weight, 0)
      )
    },
    collate(examples, how): JoinedBatch {
      const parts = tasks.flatMap((task, number): BatchPart[] => {
        const places = examples.flatMap(({ task: other }, place) => (other === number ? [place] : []))
        if (places.length === 0) return []
        const own = places.map((place) => examples[place].example)
        return [{ task, number, places, batch: task.criterion.collate(own, how) }]
      })
      const tokens = parts.reduce((sum, { batch }) => sum + batch.tokens, 0)
      // The loop sets what holds for all forward passes, such as recomputation, in the inputs of the batch.
      return { inputs: { ...parts[0].batch.inputs }, tokens, parts }
    },
    loss(_, batch, how) {
      const { parts, inputs } = batch as JoinedBatch
      const terms: LossTerm[] = []
      const metrics: Record<string, Metric> = {}
      const masks = currentDropout()
      const weights = currentLayerWeights()
      for (const { task, number, places, batch: own } of parts) {
        own.inputs.recompute = inputs.recompute
        own.inputs.recomputeIn = inputs.recomputeIn
        const result = withLayerWeights(weights?.part(number), () =>
          withDropout(masks?.part(number, places), () => task.criterion.loss(task.model, own, how)),
        )
        for (const term of result.terms)
          terms.push({ ...term, name: metricOfTask(task.name, term.name), scale: term.scale * task.scale })
        Object.assign(metrics, withName(task.name, result.metrics))
      }
      return { terms, metrics }
    },
    describe: (one, decode) => `${of(one).name}: ${of(one).criterion.describe(one.example, decode)}`,
  }
}
