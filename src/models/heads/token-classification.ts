// Classification of tokens: a logit per label and token. Question answering has two labels, start and end of the answer.
import { Dropout, type Linear } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { BodyInputs, BodyOutputs } from '../model.ts'
import { Head, type HeadEntry } from './head.ts'
import { ScoreLayer } from './score-layer.ts'

/** Head with a logit per label and token; logits [B,T,labels]. */
export class TokenClassifier extends Head {
  classifier: ScoreLayer
  dropout: Dropout

  constructor(hidden: number, labels: number, dropout: number) {
    super()
    this.classifier = new ScoreLayer(hidden, labels)
    this.dropout = new Dropout(dropout)
  }

  override get scores(): Linear {
    return this.classifier
  }

  /** -> float32 [B,T,labels] */
  forward({ hidden }: BodyOutputs, { generator }: BodyInputs): Tensor {
    return this.classifier.forward(this.dropout.forward(hidden, generator))
  }
}

type Shape = Pick<HeadEntry, 'prefix' | 'encoderOnly' | 'prepare'> & { dropout: number; output: string }

const entry = (
  hfClass: string,
  { dropout, output, ...more }: Shape,
  count: (labels: readonly string[]) => number,
): HeadEntry => ({
  ...more,
  hfClass,
  keys: [{ ours: 'head.classifier', theirs: output }],
  build: (_, { hiddenSize }, options) =>
    new TokenClassifier(hiddenSize, count(options.labels), options.dropout ?? dropout),
})

export const tokenClassification = (hfClass: string, shape: Shape): HeadEntry => ({
  ...entry(hfClass, shape, (labels) => labels.length),
  labels: ({ labels }) => labels,
})

/** Logits [B,T,2]: the first of the last dimension scores a token as the answer's first, the second as its last. */
export const questionAnswering = (hfClass: string, shape: Omit<Shape, 'output'>): HeadEntry =>
  entry(hfClass, { ...shape, output: 'qa_outputs' }, () => 2)
