// Classification or regression of rows: pooling to one vector per row, padded or packed, an optional dense layer, then a logit per label.
import { type ActivationName, activations, Dropout, type KeyRule, LayerNorm, Linear } from '../../nn/index.ts'
import { arange, cat, linear, type Tensor, upload } from '../../tensor/index.ts'
import type { BodyInputs, BodyOutputs } from '../model.ts'
import { Head, type HeadEntry } from './head.ts'

/** Kind of pooling. */
export type Pooling = 'first' | 'last' | 'mean'

type Rows = Pick<BodyInputs, 'attentionMask' | 'starts'>

/** Rows [documents,C]. @param places on the CPU */
const at = (hidden: Tensor, places: Tensor) => hidden.indexSelect(0, upload(places, hidden.device))

const packed: Record<Pooling, (hidden: Tensor, starts: Tensor) => Tensor> = {
  first: (hidden, starts) => at(hidden, starts.narrow(0, 0, starts.shape[0] - 1)),
  last: (hidden, starts) => at(hidden, starts.narrow(0, 1, starts.shape[0] - 1).sub(1)),
  mean: (hidden, starts) => {
    const edges = starts.toArray() as (number | bigint)[]
    const rows = edges.slice(1).map((end, i) => hidden.narrow(0, Number(edges[i]), Number(end) - Number(edges[i])))
    return cat(
      rows.map((row) => row.mean(0, { keepdim: true })),
      0,
    )
  },
}

const padded: Record<Pooling, (hidden: Tensor, mask: Tensor | undefined) => Tensor> = {
  first: (hidden) => hidden.select(1, 0),
  // The rightmost token that is not padding, with padding on either side.
  last: (hidden, mask) => {
    const [batch, length, width] = hidden.shape
    if (mask === undefined) return hidden.select(1, length - 1)
    const places = arange(length, { device: hidden.device }).mul(mask.ne(0).to('int64')).argmax(1) // [B]
    return hidden.gather(1, places.view([batch, 1, 1]).expand([batch, 1, width])).squeeze(1)
  },
  mean: (hidden, mask) => {
    if (mask === undefined) return hidden.mean(1)
    const seen = mask.ne(0).to(hidden.dtype).unsqueeze(2) // [B,T,1]
    return hidden
      .mul(seen)
      .sum(1)
      .div(seen.sum(1).clamp({ min: 1 }))
  },
}

/** Pools [B,T,C] -> [B,C]; or packed [1,N,C] -> [documents,C]. */
export const poolRows = (hidden: Tensor, { attentionMask, starts }: Rows, how: Pooling): Tensor =>
  starts === undefined ? padded[how](hidden, attentionMask) : packed[how](hidden.squeeze(0), starts.to('int64'))

// The output layer of heads with labels. It computes in float32, since logits in bfloat16 have 8 bits of precision and would
// tie; the cost is negligible next to the body.

/** A linear layer that computes in float32 whatever its weights' dtype. */
export class ScoreLayer extends Linear {
  /** [..., inputs] -> float32 [..., outputs], also for weights and inputs in bfloat16. */
  override forward(input: Tensor): Tensor {
    return this.#wide(input, this.bias) ?? super.forward(input)
  }

  override product(input: Tensor): Tensor {
    return this.#wide(input) ?? super.product(input)
  }

  override withLowRank(): undefined {
    return undefined
  }

  #wide(input: Tensor, bias?: Tensor): Tensor | undefined {
    if (this.dtype === 'float32') return undefined
    return linear(input.to('float32'), this.weight.to('float32'), bias?.to('float32') ?? null)
  }
}

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
  /** Pooling, and the dense layer before the output layer. */
  readonly shape: ClassifierShape

  constructor(hidden: number, labels: number, shape: ClassifierShape) {
    super()
    Object.assign(this, denseParts(hidden, shape.dense))
    this.classifier = new ScoreLayer(hidden, labels, { bias: shape.bias })
    this.dropout = new Dropout(shape.dropout)
    this.shape = shape
  }

  override get readsFirstsOnly(): boolean {
    return this.shape.pooling === 'first'
  }

  override get scores(): Linear {
    return this.classifier
  }

  /** -> float32 [B,labels] */
  forward({ hidden, onlyRead }: BodyOutputs, inputs: BodyInputs): Tensor {
    const { pooling, dense, endTokenId } = this.shape
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
