// Masked-token and next-sentence prediction, as in BERT's pretraining. @source arXiv:1810.04805 section 3.1
import { Linear } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { Body, BodyFacts, BodyInputs } from '../model.ts'
import type { HeadEntry } from './head.ts'
import { MaskedLmHead, type MaskedLmShape, maskedLmKeys } from './masked-lm.ts'
import { poolRows } from './sequence-classification.ts'

/** Head of masked-token and next-sentence prediction. */
export class SentencePretrainingHead extends MaskedLmHead {
  pooler: Linear
  relation: Linear

  constructor(body: Body, facts: BodyFacts, shape: MaskedLmShape) {
    super(body, facts, shape)
    this.pooler = new Linear(facts.hiddenSize, facts.hiddenSize)
    this.relation = new Linear(facts.hiddenSize, 2)
  }

  /** [B,T,C] -> logits [B,2] of "is next" and "is not next". */
  relate(hidden: Tensor, inputs: Pick<BodyInputs, 'attentionMask' | 'starts'>): Tensor {
    return this.relation.forward(this.pooler.forward(poolRows(hidden, inputs, 'first')).tanh())
  }
}

/** Head of BERT's pretraining. @param names of the pooler, with the body's prefix, and of the next-sentence layer */
export const sentencePretraining = (
  hfClass: string,
  shape: MaskedLmShape,
  names: { pooler: string; relation: string },
): HeadEntry => ({
  hfClass,
  keys: [
    ...maskedLmKeys(shape),
    { ours: 'head.pooler', theirs: names.pooler },
    { ours: 'head.relation', theirs: names.relation },
  ],
  build: (body, facts) => new SentencePretrainingHead(body, facts, shape),
})
