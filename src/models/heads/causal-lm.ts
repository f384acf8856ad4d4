// Next-token prediction, as decoders do it: one matrix without bias.
import type { HeadEntry } from './head.ts'
import { LanguageHead } from './language-head.ts'

class CausalLmHead extends LanguageHead {}

export const causalLm = (hfClass: string): HeadEntry => ({
  hfClass,
  keys: [{ ours: 'head.lmHead', theirs: 'lm_head' }],
  build: (body, facts) => new CausalLmHead(body, facts, false),
})
