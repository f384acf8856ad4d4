// Tokens by themselves: ids that a client sends in the place of a text, and the text of single tokens for log-probabilities, which may be a
// part of a character, so that its bytes are given too.
import { z } from 'zod'
import type { RankedToken } from '../../generation/index.ts'
import { type Tokenizer, tokenBytes } from '../../tokenizers/index.ts'
import { badRequest } from '../http/errors.ts'
import type { ServedModel } from '../models/served-models.ts'

/** Schema of one text as token ids. */
export const tokenIds = z.array(z.int().nonnegative()).min(1)

/** A field that is one text or a list of texts, each a string or token ids, as a list. */
export const textList = (
  value: string | readonly number[] | readonly (string | readonly number[])[],
): (string | readonly number[])[] => {
  if (typeof value === 'string') return [value]
  return typeof value[0] === 'number' ? [value as readonly number[]] : [...(value as (string | readonly number[])[])]
}

/** @throws ApiError for ids that the model does not have */
export const expectTokenIds = (model: ServedModel, ids: readonly number[], field: string, index: number): void => {
  const { vocabSize } = model.text.model.facts
  const wrong = ids.find((id) => id >= vocabSize)
  if (wrong !== undefined)
    throw badRequest(
      `Expected token ids below ${vocabSize} for \`${field}\`, got ${wrong} in ${field} ${index}.`,
      field,
    )
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

/** A token as OpenAI's chat log-probabilities show it. */
export const tokenEntry = (tokenizer: Tokenizer, { id, logProb }: RankedToken) => ({
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
