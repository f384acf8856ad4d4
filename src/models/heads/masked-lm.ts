// Prediction of masked tokens: a dense layer with a norm, then the output layer with a bias. @source arXiv:1810.04805
import { type ActivationName, activations, type KeyRule, LayerNorm, Linear } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { Body, BodyFacts } from '../model.ts'
import type { HeadEntry } from './head.ts'
import { LanguageHead } from './language-head.ts'

/** Shape of the head, and the names of its parameters. */
export interface MaskedLmShape {
  activation: ActivationName
  normEps: number
  /** Biases of the dense layer, of the norm and of the output layer (default: all). */
  biases?: { dense: boolean; norm: boolean; output: boolean }
  /** Whether the output matrix is the embedding's. */
  tied: boolean
  /**
   * Names of the parameters in transformers. Where `bias` is not the bias of `output` by name, the class has both: one tensor
   * when tied, otherwise only that of `output` is used.
   */
  names: { dense: string; norm: string; output: string; bias: string }
}

/** Head of masked-token prediction; logits [B,T,V]. */
export class MaskedLmHead extends LanguageHead {
  dense: Linear
  norm: LayerNorm
  /** Name of the function after the dense layer. */
  readonly activation: ActivationName

  constructor(body: Body, facts: BodyFacts, { activation, normEps, biases }: MaskedLmShape) {
    super(body, facts, biases?.output ?? true)
    const width = this.lmHead.shape[1]
    this.dense = new Linear(facts.hiddenSize, width, { bias: biases?.dense ?? true })
    this.norm = new LayerNorm(width, { eps: normEps, bias: biases?.norm ?? true })
    this.activation = activation
  }

  protected override transform(hidden: Tensor): Tensor {
    return this.norm.forward(activations[this.activation](this.dense.forward(hidden)))
  }
}

/** Names of the parameters in checkpoints. */
export const maskedLmKeys = ({ names, tied }: MaskedLmShape): KeyRule[] => [
  { ours: 'head.dense', theirs: names.dense },
  { ours: 'head.norm', theirs: names.norm },
  { ours: 'head.lmHead.weight', theirs: `${names.output}.weight`, exact: true },
  tied
    ? { ours: 'head.lmHead.bias', theirs: names.bias, exact: true, alsoReads: [`${names.output}.bias`] }
    : {
        ours: 'head.lmHead.bias',
        theirs: `${names.output}.bias`,
        exact: true,
        alsoReads: [names.bias],
        writesAll: true,
      },
]

/** Head of masked-token prediction. */
export const maskedLm = (hfClass: string, shape: MaskedLmShape): HeadEntry => ({
  hfClass,
  keys: maskedLmKeys(shape),
  build: (body, facts) => new MaskedLmHead(body, facts, shape),
})
