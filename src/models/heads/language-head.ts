// Heads with logits over the vocabulary. The output matrix may be tied to the token embedding. Losses do not need logits: they
// use `prepare` and `outputLayer`.
import { Identity, Linear, standInFor } from '../../nn/index.ts'
import { type Dtype, roundedLinear, softCap, type Tensor } from '../../tensor/index.ts'
import type { Body, BodyFacts, BodyOutputs } from '../model.ts'
import type { Model } from '../model-with-head.ts'
import { Head } from './head.ts'

/** A head with logits over the vocabulary. */
export abstract class LanguageHead extends Head {
  lmHead: Linear
  /** What `lmHead` reads passes through it, in losses too. */
  outputInput = new Identity()

  readonly #softcap: number | undefined
  /** Dtype of the body's hidden states between its layers. */
  readonly #bodyDtype: () => Dtype

  constructor(body: Body, { vocabSize, tiedEmbeddings, logitSoftcap }: BodyFacts, bias: boolean) {
    super()
    this.#softcap = logitSoftcap === 0 ? undefined : logitSoftcap
    this.#bodyDtype = () => body.embedTokens.dtype
    const { blocks, shape } = body.embedTokens
    const table = blocks === undefined ? body.embedTokens.weight : standInFor(blocks)
    // As wide as the embeddings, which may be less than the hidden size (ELECTRA), tied or not.
    this.lmHead = new Linear(shape[1], vocabSize, { bias, tied: tiedEmbeddings ? table : undefined })
    if (tiedEmbeddings && blocks !== undefined) this.lmHead.useBlocks(blocks)
  }

  /**
   * Matrix and bias of `lmHead` with the changes of adapters, and the soft cap of its outputs, if there is one, for losses
   * that compute logits in chunks.
   */
  get outputLayer(): { matrix: Tensor; bias?: Tensor; softcap?: number } {
    const { weight, bias, changedMatrix } = this.lmHead
    const matrix = changedMatrix === undefined ? weight : changedMatrix()
    return { matrix, softcap: this.#softcap, ...(bias === undefined ? {} : { bias }) }
  }

  /** Hidden states [...,C] -> input of `lmHead` [...,W], with the changes of adapters. */
  prepare(hidden: Tensor): Tensor {
    return this.outputInput.forward(this.transform(hidden))
  }

  /** The layers of the head before `lmHead`: hidden states [...,C] -> [...,W]. */
  protected transform(hidden: Tensor): Tensor {
    return hidden
  }

  /** What `prepare` gives -> logits [...,V]. */
  logits(prepared: Tensor): Tensor {
    return this.capped(this.lmHead.forward(prepared))
  }

  /** What `prepare` gives -> logits [...,V] in float32 for any dtype of the weights, since with bfloat16 many tokens would tie. */
  wideLogits(prepared: Tensor): Tensor {
    const wide = prepared.to('float32')
    const { lmHead } = this
    const plain = lmHead.constructor === Linear && lmHead.lowRank === undefined && [...lmHead.children()].length === 0
    // Only hidden states of a fused step have more than bfloat16's precision here, and that step rounds them in the same way.
    if (plain && lmHead.dtype === 'bfloat16' && this.#bodyDtype() === 'bfloat16')
      return this.capped(roundedLinear(wide, lmHead.weight, lmHead.bias ?? null))
    return this.logits(wide).to('float32')
  }

  /** Logits of the output layer with the soft cap, where there is one. */
  capped(logits: Tensor): Tensor {
    return this.#softcap === undefined ? logits : softCap(logits, this.#softcap)
  }

  /** -> [B,T,V] */
  forward({ hidden }: BodyOutputs): Tensor {
    return this.logits(this.prepare(hidden))
  }
}

type Writer = Pick<Model, 'head' | 'facts'>

/** Whether a model continues a text: a decoder. */
export const continuesText = ({ head, facts }: Writer): boolean => head instanceof LanguageHead && facts.causal

/** Whether a model writes text at all: a decoder, or an encoder with a decoder. */
export const writesText = (model: Writer): boolean =>
  continuesText(model) || (model.head instanceof LanguageHead && model.facts.decoderStartTokenId !== undefined)
