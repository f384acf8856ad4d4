// The text of single tokens, for log-probabilities: a token may be a part of a character, so its bytes are given too.
import type { RankedToken } from '../../generation/index.ts'
import { type Tokenizer, tokenBytes } from '../../tokenizers/index.ts'

/** A token as OpenAI's chat log-probabilities show it. */
export interface TokenEntry {
  token: string
  logprob: number
  bytes: number[]
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of a token; its bytes, as `bytes:\xe2\x82`, where they are no whole characters. */
export const tokenText = (tokenizer: Tokenizer, id: number): string => {
  const bytes = tokenBytes(tokenizer, id)
  try {
    return strict.decode(bytes)
  } catch {
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`
  }
}

export const tokenEntry = (tokenizer: Tokenizer, { id, logProb }: RankedToken): TokenEntry => ({
  token: tokenText(tokenizer, id),
  // JSON has no infinity; this is what OpenAI's server gives for a token that cannot occur.
  logprob: Math.max(logProb, -9999),
  bytes: [...tokenBytes(tokenizer, id)],
})

/** Tokens before one that decide how it is written. */
const contextTokens = 8

/** What each token adds to the text; empty for a token that ends within a character. */
export const tokenTexts = (tokenizer: Tokenizer, ids: readonly number[]): string[] => {
  let from = 0
  let shown = ''
  return ids.map((_, i) => {
    if (i - from > 2 * contextTokens) {
      from = i - contextTokens
      shown = tokenizer.decode(ids.slice(from, i))
    }
    const now = tokenizer.decode(ids.slice(from, i + 1))
    if (now.endsWith('\ufffd') && i + 1 < ids.length) return ''
    const added = now.slice(shown.length)
    shown = now
    return added
  })
}
