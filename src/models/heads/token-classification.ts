// Classification of tokens: a logit per label and token. Question answering has two labels, start and end of the answer.
import { activations, Dropout, type LayerNorm, type Linear } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { BodyOutputs } from '../model.ts'
import { Head, type HeadEntry } from './head.ts'
import { type DenseShape, denseKeys, denseParts, ScoreLayer } from './sequence-classification.ts'

/** Head with a logit per label and token; logits [B,T,labels]. */
export class TokenClassifier extends Head {
  dense?: Linear
  denseNorm?: LayerNorm
  classifier: ScoreLayer
  dropout: Dropout
  /** The dense layer before the output layer. */
  readonly denseShape: DenseShape | undefined

  constructor(hidden: number, labels: number, { dropout, dense }: Pick<Shape, 'dropout' | 'dense'>) {
    super()
    Object.assign(this, denseParts(hidden, dense))
    this.denseShape = dense
    this.classifier = new ScoreLayer(hidden, labels)
    this.dropout = new Dropout(dropout)
  }

  override get scores(): Linear {
    return this.classifier
  }

  /** -> float32 [B,T,labels] */
  forward({ hidden }: BodyOutputs): Tensor {
    return this.classifier.forward(this.dropout.forward(this.#transform(hidden)))
  }

  #transform(hidden: Tensor): Tensor {
    if (this.dense === undefined || this.denseShape === undefined) return hidden
    const wide = activations[this.denseShape.activation](this.dense.forward(hidden))
    return this.denseNorm?.forward(wide) ?? wide
  }
}

type Shape = Pick<HeadEntry, 'prefix' | 'encoderOnly' | 'prepare'> & {
  dropout: number
  /** Name of the output layer in transformers. */
  output: string
  /** Dense layer before the output layer. */
  dense?: DenseShape
}

const entry = (
  hfClass: string,
  { dropout, output, dense, ...more }: Shape,
  count: (labels: readonly string[]) => number,
): HeadEntry => ({
  ...more,
  hfClass,
  keys: [...denseKeys(dense), { ours: 'head.classifier', theirs: output }],
  build: (_, { hiddenSize }, options) =>
    new TokenClassifier(hiddenSize, count(options.labels), { dropout: options.dropout ?? dropout, dense }),
})

export const tokenClassification = (hfClass: string, shape: Shape): HeadEntry => ({
  ...entry(hfClass, shape, (labels) => labels.length),
  labels: ({ labels }) => labels,
})

/** Logits [B,T,2]: the first of the last dimension scores a token as the answer's first, the second as its last. */
export const questionAnswering = (hfClass: string, shape: Omit<Shape, 'output'> & { output?: string }): HeadEntry =>
  entry(hfClass, { output: 'qa_outputs', ...shape }, () => 2)
