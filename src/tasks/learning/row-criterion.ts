// The criterion of tasks with one output row per example: classes, labels or numbers. Targets and loss function are options.
import { ConfigError } from '../../core/index.ts'
import type { HeadType, Model } from '../../models/index.ts'
import { currentDropout } from '../../nn/index.ts'
import {
  type Batch,
  type Criterion,
  type Metric,
  placeSequences,
  rowDivergence,
  type Teacher,
  teacherLogits,
  trainedFrom,
  withTeacher,
  wrongHead,
} from '../../objectives/index.ts'
import { stack, Tensor } from '../../tensor/index.ts'
import type { TaskExample } from '../task.ts'

export interface RowCriterionOptions<Example> {
  term: string
  head: HeadType
  padId: number
  /** What the outputs are: one of several classes, labels of which any number is right, or numbers. */
  outputs: RowOutputs
  /** Weight of an example in the loss; 0 where its target is not known. */
  weight(example: Example): number
  targets(examples: readonly Example[], device: string | undefined): Tensor
  /** Loss summed over the examples. Logits float32 [B,L]. */
  loss(logits: Tensor, targets: Tensor): Tensor
  /** Loss of the difference between two passes with other dropout, summed over the examples, which is added in training. */
  consistency?(first: Tensor, second: Tensor, targets: Tensor): Tensor
  measure(logits: Tensor, targets: Tensor, batch: RowBatch): { [name: string]: Metric }
  /** The target as text for people. */
  describeTarget(example: Example): string
}

/** What the logits of a row mean. */
type RowOutputs = 'classes' | 'labels' | 'numbers'

export interface RowBatch extends Batch {
  targets: Tensor
  /** float32 [B]: the weight of each example. */
  weights: Tensor
  weight: number
  /** Examples whose target is known. */
  known: number
}

/** How far each row of a student is from that of its teacher: float32 [B,L] each gives [B]. */
const divergences: Record<RowOutputs, (own: Tensor, theirs: Tensor, teacher: Teacher) => Tensor> = {
  classes: rowDivergence,
  // Each label is a choice of two; the mean, as the weight of an example counts its labels.
  labels: (own, theirs, teacher) => {
    const choices = (logits: Tensor) => stack([logits, logits.mul(0)], -1)
    return rowDivergence(choices(own), choices(theirs), teacher).mean(-1)
  },
  numbers: (own, theirs) => own.sub(theirs).pow(2).mean(-1),
}

const noSecondMask = () =>
  new ConfigError(
    '`settings.rDrop` compares two passes with different dropout, and this model has none: set `adapter.dropout` or the dropout of the base, or remove `settings.rDrop`.',
  )

export const createRowCriterion = <Example extends TaskExample>(
  options: RowCriterionOptions<Example>,
): Criterion<Example> => ({
  unpadded: true,
  distils: true,
  tokens: ({ ids }) => ids.length,
  weights: (example) => ({ [options.term]: options.weight(example) }),
  collate(examples, collateOptions): RowBatch {
    const { inputs, tokens } = placeSequences(examples, options.padId, collateOptions)
    const weights = Float32Array.from(examples, options.weight)
    return {
      inputs,
      tokens,
      known: examples.filter((example) => options.weight(example) > 0).length,
      targets: options.targets(examples, collateOptions.device),
      weights: Tensor.from(weights, { shape: [weights.length], device: collateOptions.device }),
      weight: examples.reduce((sum, example) => sum + options.weight(example), 0),
    }
  },
  loss(model, batch, { metrics, teacher: given } = {}) {
    const { inputs, targets, weight, weights } = batch as RowBatch
    expectHead(model, options.head)
    const pass = () => model.forward(inputs).logits.to('float32')
    const logits = pass()
    const passes = [logits]
    let sum = options.loss(logits, targets)
    if (options.consistency !== undefined && model.training) {
      if (currentDropout()?.used === false) throw noSecondMask()
      const second = pass()
      passes.push(second)
      sum = sum
        .add(options.loss(second, targets))
        .mul(0.5)
        .add(options.consistency(logits, second, targets))
    }
    const terms = withTeacher({ name: options.term, sum, weight, scale: 1 }, given, (teacher) => {
      const theirs = teacherLogits(teacher, inputs)
      const each = passes.map((own) => divergences[options.outputs](own, theirs, teacher).mul(weights).sum())
      return each.reduce((total, one) => total.add(one)).div(each.length)
    })
    return {
      terms,
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
