// Scores every entry of the vocabulary. The matrix may be the token embedding's own. Losses need no logits: they take what
// `prepare` gives, and `lmHead`.
import { Linear } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { Body, BodyFacts, BodyOutputs } from '../model.ts'
import { Head } from './head.ts'

export abstract class LanguageHead extends Head {
  lmHead: Linear

  constructor(body: Body, { vocabSize, tiedEmbeddings }: BodyFacts, bias: boolean) {
    super()
    const { weight } = body.embedTokens
    // As wide as the embeddings, which may be less than the hidden size (ELECTRA), tied or not.
    this.lmHead = new Linear(weight.shape[1], vocabSize, { bias, tied: tiedEmbeddings ? weight : undefined })
  }

  /** [...,C] -> [...,W]: what `lmHead` scores. */
  prepare(hidden: Tensor): Tensor {
    return hidden
  }

  /** -> [B,T,V] */
  forward({ hidden }: BodyOutputs): Tensor {
    return this.lmHead.forward(this.prepare(hidden))
  }
}
