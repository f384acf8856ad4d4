// The first token of a text that is generated without a prompt.
import type { Tokenizer } from '../tokenizers/index.ts'
import type { Prompt } from './job.ts'

/** A prompt; one without tokens begins with the start token of the tokenizer (bos, else eos), where it has one. */
export const beginPrompt = (tokenizer: Tokenizer, text: string): Prompt => {
  const ids = Array.from(tokenizer.encode(text).ids)
  const start = tokenizer.special.bos ?? tokenizer.special.eos
  return ids.length === 0 && start !== undefined ? [start.id] : ids
}
