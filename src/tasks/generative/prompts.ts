// Prompts from a pattern with placeholders, and what is removed from a prompt that is too long so that the newest question stays.

import { ConfigError, show } from '../../core/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { type Checked, fault } from '../records/columns.ts'
import type { Fields } from '../records/row.ts'
import type { ChatPrompt } from './chat-encoder.ts'
import type { Turn } from './turns.ts'

/**
 * The user's turn from a pattern such as `Summarize this.\n\n{text}`. Braces in the texts themselves are not replaced.
 * @param source the text that may be truncated @throws ConfigError for a pattern without its placeholder
 */
export const fillPrompt = (pattern: string, texts: { readonly [name: string]: string }, source: string): ChatPrompt => {
  let content = ''
  let found: [number, number] | undefined
  for (const part of pattern.split(/(\{\w+\})/)) {
    const name = part.slice(1, -1)
    if (!part.startsWith('{') || !Object.hasOwn(texts, name)) {
      content += part
      continue
    }
    if (name === source) found ??= [content.length, content.length + texts[name].length]
    content += texts[name]
  }
  if (found === undefined)
    throw new ConfigError(
      `Expected the placeholder {${source}} in \`prompt\`, got ${JSON.stringify(pattern)}. Placeholders are ${Object.keys(
        texts,
      )
        .map((name) => `{${name}}`)
        .join(', ')}.`,
    )
  // Templates differ in how they treat white space at the ends, so it is removed here.
  const lead = content.length - content.trimStart().length
  const kept = content.trim()
  return {
    turns: [{ role: 'user', content: kept }],
    source: [Math.max(0, found[0] - lead), Math.min(kept.length, found[1] - lead)],
  }
}

/** A pattern such as `{question} Answer:` with the columns of a row, whose values are texts or numbers. */
export const fillColumns = (pattern: string, values: Fields): Checked<string> => {
  let content = ''
  for (const part of pattern.split(/(\{\w+\})/)) {
    const name = part.slice(1, -1)
    if (!/^\{\w+\}$/.test(part)) {
      content += part
      continue
    }
    const value = values[name]
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint')
      return fault('no-text', `Expected text in column "${name}", which \`pattern\` names, got ${show(value)}.`)
    content += String(value)
  }
  return { value: content }
}

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
