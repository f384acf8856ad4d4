// The text that each token adds to a text, so that the pieces together are the text.
import type { Tokenizer } from '../../tokenizers/index.ts'

/** Tokens before one that decide how it is written: spaces, and bytes of a character. */
const context = 4

/** The text of each token. A token that ends within a character has the replacement character. */
export const tokenTexts = (tokenizer: Tokenizer, ids: readonly number[]): string[] =>
  ids.map((id, i) => {
    const from = Math.max(0, i - context)
    const before = tokenizer.decode(ids.slice(from, i))
    const after = tokenizer.decode(ids.slice(from, i + 1))
    return after.startsWith(before) ? after.slice(before.length) : tokenizer.decode([id])
  })
