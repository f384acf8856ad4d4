// Learning one answer for each row: a class, several, or numbers. What the answer is and what a wrong one costs comes from outside.
import type { HeadType, Model } from '../../models/index.ts'
import { type Batch, type Criterion, type Metric, placeSequences, wrongHead } from '../../objectives/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { TaskExample } from '../task.ts'

export interface RowCriterionOptions<Example> {
  /** The name of the loss. */
  term: string
  head: HeadType
  padId: number
  /** How much an example counts; 0 where its answer is not known. */
  weight(example: Example): number
  /** The answers as the loss takes them. */
  targets(examples: readonly Example[], device: string | undefined): Tensor
  /** Summed over the examples. Logits float32 [B,L]. */
  loss(logits: Tensor, targets: Tensor): Tensor
  measure(logits: Tensor, targets: Tensor, batch: RowBatch): { [name: string]: Metric }
  describeTarget(example: Example): string
}

export interface RowBatch extends Batch {
  targets: Tensor
  weight: number
  /** Examples whose answer is known. */
  known: number
}

export const createRowCriterion = <Example extends TaskExample>(
  how: RowCriterionOptions<Example>,
): Criterion<Example> => ({
  unpadded: true,
  tokens: ({ ids }) => ids.length,
  weights: (example) => ({ [how.term]: how.weight(example) }),
  collate(examples, options): RowBatch {
    const { inputs, tokens } = placeSequences(examples, how.padId, options)
    return {
      inputs,
      tokens,
      known: examples.filter((example) => how.weight(example) > 0).length,
      targets: how.targets(examples, options.device),
      weight: examples.reduce((sum, example) => sum + how.weight(example), 0),
    }
  },
  loss(model, batch, { generator, metrics } = {}) {
    const { inputs, targets, weight } = batch as RowBatch
    expectHead(model, how.head)
    const logits = model.forward({ ...inputs, generator }).logits.to('float32')
    return {
      terms: [{ name: how.term, sum: how.loss(logits, targets), weight, scale: 1 }],
      metrics: metrics ? how.measure(logits, targets, batch as RowBatch) : {},
    }
  },
  describe: (example, decode) => `${decode(Array.from(example.ids))} → ${how.describeTarget(example)}`,
})

export const expectHead = ({ headType }: Model, head: HeadType): void => {
  if (headType !== head) throw wrongHead(headType, head)
}

/** [B,L] -> the numbers of each example. */
export const splitRows = (logits: Tensor): Float32Array[] => {
  const [rows, width] = logits.shape
  const values = logits.toFloat32Array()
  return Array.from({ length: rows }, (_, i) => values.subarray(i * width, (i + 1) * width))
}
