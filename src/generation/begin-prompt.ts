// The prompts of texts: what a text begins with that has no prompt, and the layout of a gap between two texts.
import { gapPrompt, type Tokenizer } from '../tokenizers/index.ts'
import type { Prompt } from './job.ts'
import { type GenerationOptions, withEnds } from './options.ts'

/** A prompt; one without tokens begins with the start token of the tokenizer (bos, else eos), where it has one. */
export const beginPrompt = (tokenizer: Tokenizer, text: string): Prompt => {
  const ids = Array.from(tokenizer.encode(text).ids)
  const start = tokenizer.special.bos ?? tokenizer.special.eos
  return ids.length === 0 && start !== undefined ? [start.id] : ids
}

/**
 * Prompts with their options. With a `suffix`, the text between each prompt and the suffix is generated, and ends at the end
 * tokens of fill-in-the-middle; an empty suffix is none.
 * @throws ConfigError for a suffix and a tokenizer without the tokens of fill-in-the-middle
 */
export const beginPrompts = (
  tokenizer: Tokenizer,
  texts: readonly string[],
  options: GenerationOptions,
  suffix = '',
): { prompts: Prompt[]; options: GenerationOptions } => {
  if (suffix === '') return { prompts: texts.map((text) => beginPrompt(tokenizer, text)), options }
  const gaps = texts.map((text) => gapPrompt(tokenizer, text, suffix))
  return { prompts: gaps.map(({ ids }) => ids), options: withEnds(options, { ids: gaps.flatMap(({ ends }) => ends) }) }
}
