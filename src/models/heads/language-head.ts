// Heads with logits over the vocabulary. The output matrix may be tied to the token embedding. Losses do not need logits: they
// use `prepare` and `lmHead`.
import { Linear, standInFor } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { Body, BodyFacts, BodyOutputs } from '../model.ts'
import { Head } from './head.ts'

/** A head with logits over the vocabulary. */
export abstract class LanguageHead extends Head {
  lmHead: Linear

  constructor(body: Body, { vocabSize, tiedEmbeddings }: BodyFacts, bias: boolean) {
    super()
    const { blocks, shape } = body.embedTokens
    const table = blocks === undefined ? body.embedTokens.weight : standInFor(blocks)
    // As wide as the embeddings, which may be less than the hidden size (ELECTRA), tied or not.
    this.lmHead = new Linear(shape[1], vocabSize, { bias, tied: tiedEmbeddings ? table : undefined })
    if (tiedEmbeddings && blocks !== undefined) this.lmHead.useBlocks(blocks)
  }

  /** Matrix and bias of `lmHead` with the changes of adapters, for losses that compute logits in chunks. */
  get outputLayer(): { matrix: Tensor; bias?: Tensor } {
    const { weight, bias, changedMatrix } = this.lmHead
    return { matrix: changedMatrix === undefined ? weight : changedMatrix(), ...(bias === undefined ? {} : { bias }) }
  }

  /** Hidden states [...,C] -> input of `lmHead` [...,W]. */
  prepare(hidden: Tensor): Tensor {
    return hidden
  }

  /** -> [B,T,V] */
  forward({ hidden }: BodyOutputs): Tensor {
    return this.lmHead.forward(this.prepare(hidden))
  }
}
