// Classification or regression of rows: pooling, an optional dense layer, then a logit per label.
import { type ActivationName, activations, Dropout, type KeyRule, LayerNorm, Linear } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { BodyInputs, BodyOutputs } from '../model.ts'
import { Head, type HeadEntry } from './head.ts'
import { type Pooling, poolRows } from './pooling.ts'
import { ScoreLayer } from './score-layer.ts'

/** A dense layer with an activation, and a norm in some architectures. */
export interface DenseShape {
  activation: ActivationName
  /** Name in transformers. */
  name: string
  dropoutBefore: boolean
  /** (default: true) */
  bias?: boolean
  norm?: { name: string; eps: number; bias: boolean }
}

/** The dense layer and its norm, with parameters that are not yet set. */
export const denseParts = (
  hidden: number,
  shape: DenseShape | undefined,
): { dense?: Linear; denseNorm?: LayerNorm } => {
  if (shape === undefined) return {}
  const dense = new Linear(hidden, hidden, { bias: shape.bias ?? true })
  return shape.norm === undefined ? { dense } : { dense, denseNorm: new LayerNorm(hidden, shape.norm) }
}

/** Names of the parameters of the dense layer and its norm. */
export const denseKeys = (shape: DenseShape | undefined): KeyRule[] => [
  ...(shape === undefined ? [] : [{ ours: 'head.dense', theirs: shape.name }]),
  ...(shape?.norm === undefined ? [] : [{ ours: 'head.denseNorm', theirs: shape.norm.name }]),
]

/** Shape of the head, and the names of its parameters. */
export interface ClassifierShape {
  pooling: Pooling
  /** Pool the last token of this id (default: the last token of the row), with `pooling: last`. */
  endTokenId?: number
  /** Dense layer before the output layer. */
  dense?: DenseShape
  dropout: number
  /** Name of the output layer in transformers. */
  output: string
  bias: boolean
}

/** Head of sequence classification; logits [B,labels]. */
export class RowClassifier extends Head {
  dense?: Linear
  denseNorm?: LayerNorm
  classifier: ScoreLayer
  dropout: Dropout
  readonly #shape: ClassifierShape

  constructor(hidden: number, labels: number, shape: ClassifierShape) {
    super()
    Object.assign(this, denseParts(hidden, shape.dense))
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
    const { pooling, dense, endTokenId } = this.#shape
    const rows = endTokenId === undefined ? inputs : { attentionMask: inputs.inputIds.eq(endTokenId) }
    const drop = (x: Tensor) => this.dropout.forward(x)
    let row = onlyRead ? hidden.squeeze(0) : poolRows(hidden, rows, pooling)
    if (this.dense !== undefined && dense !== undefined) {
      if (dense.dropoutBefore) row = drop(row)
      const wide = activations[dense.activation](this.dense.forward(row))
      row = this.denseNorm?.forward(wide) ?? wide
    }
    return this.classifier.forward(drop(row))
  }
}

/** Names of the parameters in checkpoints. */
export const classifierKeys = ({ dense, output }: ClassifierShape): KeyRule[] => [
  ...denseKeys(dense),
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
