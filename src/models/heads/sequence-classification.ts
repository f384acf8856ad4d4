// Classification or regression of rows: pooling, an optional dense layer, then a logit per label.
import { type ActivationName, activations, Dropout, type KeyRule, Linear } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { BodyInputs, BodyOutputs } from '../model.ts'
import { Head, type HeadEntry } from './head.ts'
import { type Pooling, poolRows } from './pooling.ts'
import { ScoreLayer } from './score-layer.ts'

/** Shape of the head, and the names of its parameters. */
export interface ClassifierShape {
  pooling: Pooling
  /** Dense layer before the output layer. */
  dense?: { activation: ActivationName; name: string; dropoutBefore: boolean }
  dropout: number
  /** Name of the output layer in transformers. */
  output: string
  bias: boolean
}

/** Head of sequence classification; logits [B,labels]. */
export class RowClassifier extends Head {
  dense?: Linear
  classifier: ScoreLayer
  dropout: Dropout
  readonly #shape: ClassifierShape

  constructor(hidden: number, labels: number, shape: ClassifierShape) {
    super()
    if (shape.dense !== undefined) this.dense = new Linear(hidden, hidden)
    this.classifier = new ScoreLayer(hidden, labels, { bias: shape.bias })
    this.dropout = new Dropout(shape.dropout)
    this.#shape = shape
  }

  /** Pooling, and the dense layer before the output layer. */
  get shape(): ClassifierShape {
    return this.#shape
  }

  override get readsFirstsOnly(): boolean {
    return this.#shape.pooling === 'first'
  }

  override get scores(): Linear {
    return this.classifier
  }

  /** -> float32 [B,labels] */
  forward({ hidden, onlyRead }: BodyOutputs, inputs: BodyInputs): Tensor {
    const { pooling, dense } = this.#shape
    const drop = (x: Tensor) => this.dropout.forward(x, inputs.generator)
    let row = onlyRead ? hidden.squeeze(0) : poolRows(hidden, inputs, pooling)
    if (this.dense !== undefined && dense !== undefined) {
      if (dense.dropoutBefore) row = drop(row)
      row = activations[dense.activation](this.dense.forward(row))
    }
    return this.classifier.forward(drop(row))
  }
}

/** Names of the parameters in checkpoints. */
export const classifierKeys = ({ dense, output }: ClassifierShape): KeyRule[] => [
  ...(dense === undefined ? [] : [{ ours: 'head.dense', theirs: dense.name }]),
  { ours: 'head.classifier', theirs: output },
]

/** Head of sequence classification. */
export const sequenceClassification = (
  hfClass: string,
  shape: ClassifierShape,
  more: Pick<HeadEntry, 'prefix' | 'prepare'> = {},
): HeadEntry => ({
  ...more,
  hfClass,
  keys: classifierKeys(shape),
  labels: ({ labels }) => labels,
  statesProblem: true,
  build: (_, { hiddenSize }, { labels, dropout = shape.dropout }) =>
    new RowClassifier(hiddenSize, labels.length, { ...shape, dropout }),
})
