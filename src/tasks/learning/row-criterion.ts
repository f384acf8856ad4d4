// The criterion of tasks with one output row per example: classes, labels or numbers. Targets and loss function are options.
import { ConfigError } from '../../core/index.ts'
import type { HeadType, Model } from '../../models/index.ts'
import { currentDropout } from '../../nn/index.ts'
import {
  type Batch,
  type Criterion,
  type Metric,
  placeSequences,
  trainedFrom,
  wrongHead,
} from '../../objectives/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { TaskExample } from '../task.ts'

/** Targets and loss of a row criterion. */
export interface RowCriterionOptions<Example> {
  /** Name of the loss term. */
  term: string
  head: HeadType
  padId: number
  /** Weight of an example in the loss; 0 where its target is not known. */
  weight(example: Example): number
  /** Targets as `loss` takes them. */
  targets(examples: readonly Example[], device: string | undefined): Tensor
  /** Loss summed over the examples. Logits float32 [B,L]. */
  loss(logits: Tensor, targets: Tensor): Tensor
  /** Loss of the difference between two passes with other dropout, summed over the examples, which is added in training. */
  consistency?(first: Tensor, second: Tensor, targets: Tensor): Tensor
  /** Metrics of a batch. */
  measure(logits: Tensor, targets: Tensor, batch: RowBatch): { [name: string]: Metric }
  /** The target as text for people. */
  describeTarget(example: Example): string
}

export interface RowBatch extends Batch {
  targets: Tensor
  weight: number
  /** Examples whose target is known. */
  known: number
}

const noSecondMask = () =>
  new ConfigError(
    '`settings.rDrop` compares two passes with different dropout, and this model has none: set `adapter.dropout` or the dropout of the base, or remove `settings.rDrop`.',
  )

export const createRowCriterion = <Example extends TaskExample>(
  options: RowCriterionOptions<Example>,
): Criterion<Example> => ({
  unpadded: true,
  tokens: ({ ids }) => ids.length,
  weights: (example) => ({ [options.term]: options.weight(example) }),
  collate(examples, collateOptions): RowBatch {
    const { inputs, tokens } = placeSequences(examples, options.padId, collateOptions)
    return {
      inputs,
      tokens,
      known: examples.filter((example) => options.weight(example) > 0).length,
      targets: options.targets(examples, collateOptions.device),
      weight: examples.reduce((sum, example) => sum + options.weight(example), 0),
    }
  },
  loss(model, batch, { metrics } = {}) {
    const { inputs, targets, weight } = batch as RowBatch
    expectHead(model, options.head)
    const pass = () => model.forward(inputs).logits.to('float32')
    const logits = pass()
    let sum = options.loss(logits, targets)
    if (options.consistency !== undefined && model.training) {
      if (currentDropout()?.used === false) throw noSecondMask()
      const second = pass()
      sum = sum
        .add(options.loss(second, targets))
        .mul(0.5)
        .add(options.consistency(logits, second, targets))
    }
    return {
      terms: [{ name: options.term, sum, weight, scale: 1 }],
      metrics: metrics ? options.measure(logits, targets, batch as RowBatch) : {},
    }
  },
  describe: (example, decode) => `${decode(Array.from(example.ids))} → ${options.describeTarget(example)}`,
  show: (example) => [trainedFrom(example.ids, example.ids.length, { name: options.describeTarget(example) })],
})

/** @throws ConfigError for a model with another head */
export const expectHead = ({ headType }: Model, head: HeadType): void => {
  if (headType !== head) throw wrongHead(headType, head)
}

/** [B,L] -> logits of each example. */
export const splitRows = (logits: Tensor): Float32Array[] => {
  const [rows, width] = logits.shape
  const values = logits.toFloat32Array()
  return Array.from({ length: rows }, (_, i) => values.subarray(i * width, (i + 1) * width))
}
