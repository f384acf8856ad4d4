// Next-token prediction of a decoder: an output layer without bias.
import type { HeadEntry } from './head.ts'
import { LanguageHead } from './language-head.ts'

/** Head of next-token prediction; logits [B,T,V]. */
export class CausalLmHead extends LanguageHead {}

/** Head of next-token prediction; logits [B,T,V]. */
export const causalLm = (hfClass: string): HeadEntry => ({
  hfClass,
  keys: [{ ours: 'head.lmHead', theirs: 'lm_head' }],
  build: (body, facts) => new CausalLmHead(body, facts, false),
})
