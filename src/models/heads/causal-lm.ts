// Next-token prediction of a decoder: an output layer without bias.
import type { HeadEntry } from './head.ts'
import { LanguageHead } from './language-head.ts'

/** Head of next-token prediction; logits [B,T,V]. */
export class CausalLmHead extends LanguageHead {}

/** Head of next-token prediction; logits [B,T,V]. @param names of the output layer, where it has others than `lm_head` */
export const causalLm = (
  hfClass: string,
  { output = 'lm_head', ...names }: { output?: string; module?: string; alsoReads?: readonly string[] } = {},
): HeadEntry => ({
  hfClass,
  keys: [{ ours: 'head.lmHead', theirs: output, ...names }],
  build: (body, facts) => new CausalLmHead(body, facts, false),
})
