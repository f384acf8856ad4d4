// Prompts that are too long: what is removed so that the newest question stays.
import type { Tokenizer } from '../../tokenizers/index.ts'
import type { Turn } from './turns.ts'

/** A prompt within a limit, and the number of tokens that were removed. */
export interface FittedPrompt {
  ids: number[]
  truncatedTokens: number
}

/** The last `limit` tokens, with the start token before them if the prompt began with one. */
export const keepEnd = (
  ids: readonly number[],
  limit: number,
  { special }: Pick<Tokenizer, 'special'>,
): FittedPrompt => {
  if (ids.length <= limit) return { ids: [...ids], truncatedTokens: 0 }
  const { bos } = special
  const begins = bos !== undefined && ids[0] === bos.id
  return {
    ids: begins ? [bos.id, ...ids.slice(ids.length - limit + 1)] : ids.slice(ids.length - limit),
    truncatedTokens: ids.length - limit,
  }
}

/**
 * The prompt of a conversation with at most `limit` tokens. The oldest question and its answer are removed first; the system
 * prompt stays. What is still too long loses its first tokens.
 */
export const fitTurns = (
  turns: readonly Turn[],
  limit: number,
  tokenizer: Pick<Tokenizer, 'special'>,
  idsOf: (turns: readonly Turn[]) => readonly number[],
): FittedPrompt => {
  let kept = turns
  let ids = idsOf(kept)
  const whole = ids.length
  while (ids.length > limit) {
    const first = kept.findIndex(({ role }) => role === 'user')
    const next = kept.findIndex(({ role }, i) => i > first && role === 'user')
    if (next < 0) break
    kept = [...kept.slice(0, first), ...kept.slice(next)]
    ids = idsOf(kept)
  }
  const { ids: fitted } = keepEnd(ids, limit, tokenizer)
  return { ids: fitted, truncatedTokens: whole - fitted.length }
}
