// Detection of replaced tokens: ELECTRA's discriminator. @source arXiv:2003.10555
import { type ActivationName, activations, Linear } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { BodyOutputs } from '../model.ts'
import { Head, type HeadEntry } from './head.ts'

/** Head of replaced-token detection; logits [B,T]. */
export class ReplacedTokenDetectionHead extends Head {
  dense: Linear
  classifier: Linear
  /** Name of the function after the dense layer. */
  readonly activation: ActivationName

  constructor(hidden: number, activation: ActivationName) {
    super()
    this.dense = new Linear(hidden, hidden)
    this.classifier = new Linear(hidden, 1)
    this.activation = activation
  }

  /** -> logits [B,T]; above 0 means replaced. */
  forward({ hidden }: BodyOutputs): Tensor {
    return this.classifier.forward(activations[this.activation](this.dense.forward(hidden))).squeeze(-1)
  }
}

/** Head of replaced-token detection. */
export const replacedTokenDetection = (
  hfClass: string,
  activation: ActivationName,
  names: { dense: string; classifier: string },
): HeadEntry => ({
  hfClass,
  keys: [
    { ours: 'head.dense', theirs: names.dense },
    { ours: 'head.classifier', theirs: names.classifier },
  ],
  build: (_, facts) => new ReplacedTokenDetectionHead(facts.hiddenSize, activation),
})
