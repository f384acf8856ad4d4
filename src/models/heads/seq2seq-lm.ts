// Next-token prediction of an encoder-decoder.
import type { Tensor } from '../../tensor/index.ts'
import type { Body, BodyFacts } from '../model.ts'
import type { HeadEntry } from './head.ts'
import { LanguageHead } from './language-head.ts'

/** Head of next-token prediction; logits [B,U,V]. */
export class Seq2SeqLmHead extends LanguageHead {
  /** Factor of the hidden states. */
  readonly scale: number

  constructor(body: Body, facts: BodyFacts, scale: number) {
    super(body, facts, false)
    this.scale = scale
  }

  protected override transform(hidden: Tensor): Tensor {
    return this.scale === 1 ? hidden : hidden.mul(this.scale)
  }
}

/** Head of next-token prediction; logits [B,U,V]. @param scale factor of the hidden states (T5 with tied embeddings) */
export const seq2seqLm = (hfClass: string, scale: number): HeadEntry => ({
  hfClass,
  keys: [{ ours: 'head.lmHead', theirs: 'lm_head' }],
  build: (body, facts) => new Seq2SeqLmHead(body, facts, scale),
})
