// The criterion of token classification: cross entropy of the labelled tokens.
import {
  type Batch,
  type Criterion,
  type Metric,
  type PlacedBatch,
  placeSequences,
  rowDivergence,
  spread,
  teacherLogits,
  toInt64,
  withTeacher,
} from '../../objectives/index.ts'
import { noGrad, Tensor } from '../../tensor/index.ts'
import type { TaskExample } from '../task.ts'
import { expectHead } from './row-criterion.ts'

export interface LabelledTokens extends TaskExample {
  /** [T], the class index, or -100 for tokens without a label. */
  labels: Int32Array
}

interface TokenBatch extends Batch {
  /** int64 [B*T] */
  labels: Tensor
  weight: number
  labelled: number
  spans: ExampleSpans
}

/** Index of the first token of each example in a batch, and the number of its tokens. */
export interface ExampleSpans {
  firsts: Int32Array
  lengths: readonly number[]
}

export interface TokenCriterionOptions {
  labels: readonly string[]
  /** Class weights; undefined where all are 1. */
  weights: Float32Array | undefined
  labelSmoothing: number
  padId: number
}

const term = 'token-classification'

export const spansOf = (examples: readonly TaskExample[], { firsts }: Pick<PlacedBatch, 'firsts'>): ExampleSpans => ({
  firsts,
  lengths: examples.map(({ ids }) => ids.length),
})

export const createTokenCriterion = <Example extends LabelledTokens>(
  options: TokenCriterionOptions,
): Criterion<Example> => {
  const { labels: names, weights, labelSmoothing, padId } = options
  const weightOf = ({ labels }: Example): number => {
    let sum = 0
    for (const label of labels) if (label !== -100) sum += weights?.[label] ?? 1
    return sum
  }
  return {
    unpadded: true,
    distils: true,
    tokens: ({ ids }) => ids.length,
    weights: (example) => ({ [term]: weightOf(example) }),
    collate(examples, collateOptions): TokenBatch {
      const placed = placeSequences(examples, padId, collateOptions)
      const labels = spread(examples, placed, (e) => examples[e].labels, -100)
      return {
        inputs: placed.inputs,
        tokens: placed.tokens,
        labels: toInt64(labels, [labels.length], collateOptions.device),
        weight: examples.reduce((sum, example) => sum + weightOf(example), 0),
        labelled: labels.reduce((count, label) => count + (label === -100 ? 0 : 1), 0),
        spans: spansOf(examples, placed),
      }
    },
    loss(model, batch, { metrics, onLabelLosses, teacher: given } = {}) {
      const { inputs, labels, weight, labelled } = batch as TokenBatch
      expectHead(model, 'token-classification')
      const logits = model.forward(inputs).logits.to('float32').flatten(0, 1) // [B*T,L]
      const classWeights = weights && Tensor.from(weights, { shape: [weights.length], device: logits.device })
      const how = { weight: classWeights, ignoreIndex: -100, labelSmoothing }
      const sum = logits.crossEntropy(labels, { ...how, reduction: 'sum' })
      onLabelLosses?.(noGrad(() => logits.crossEntropy(labels, { ...how, reduction: 'none' })))
      const measured: Record<string, Metric> = {}
      if (metrics) measured.accuracy = { sum: noGrad(() => logits.argmax(-1).eq(labels).sum()), weight: labelled }
      const terms = withTeacher({ name: term, sum, weight, scale: 1 }, given, (teacher) => {
        const theirs = teacherLogits(teacher, inputs).flatten(0, 1)
        const known = labels.ge(0).to('float32')
        const factors =
          classWeights === undefined ? known : known.mul(classWeights.indexSelect(0, labels.clamp({ min: 0 })))
        return rowDivergence(logits, theirs, teacher).mul(factors).sum()
      })
      return { terms, metrics: measured }
    },
    describe: ({ ids, labels }, decode) =>
      Array.from(ids, (id, i) => (labels[i] === -100 ? decode([id]) : `${decode([id])}⟦${names[labels[i]]}⟧`)).join(
        ' ',
      ),
    show({ ids, labels }) {
      const classes = new Map<number, string>()
      const losses = new Map<number, number>()
      for (const [i, label] of labels.entries())
        if (label !== -100) {
          classes.set(i, names[label])
          losses.set(i, i)
        }
      return [{ ids: Array.from(ids), classes, losses }]
    },
  }
}

/** [B,T,L] or packed [1,N,L] -> logits [T,L] of each example. */
export const splitPlaces = (logits: Tensor, batch: Batch): Float32Array[] => {
  const { firsts, lengths } = (batch as TokenBatch).spans
  const width = logits.shape[2]
  const values = logits.toFloat32Array()
  return lengths.map((length, i) => values.subarray(firsts[i] * width, (firsts[i] + length) * width))
}
